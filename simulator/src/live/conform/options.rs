//! Options of a trial.

use std::path::PathBuf;
use std::time::Duration;

use carillon_server::Zone;

use crate::dialect::Dialect;
use crate::live::server::address::Address;
use crate::live::server::tls::Trust;
use crate::oracle::guarantee::Guarantee;
use crate::units::{format_size, format_span, quoted};

/// The seed for masks and handshake keys; nothing else in a trial is random.
pub(super) const SEED: u64 = 1;

/// The largest message that is sent if the options state none, in bytes: the reference server's limit.
const USUAL_LARGEST: usize = 64 << 10;

/// The most clients that the crowd may have: each is an open file of this process.
pub const LARGEST_CROWD: u32 = 18_000;

/// The values that the options have if the tester states none.
const USUAL_CYCLES: u64 = 8;
const USUAL_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const USUAL_CROWD: u32 = 300;

/// The server on trial, and how it is tried.
#[derive(Clone, Debug)]
pub struct ConformOptions {
    /// The server's address.
    pub address: Address,
    /// Which certificates are accepted, if the address asks for TLS.
    pub trust: Trust,
    /// Time between two pushes of the server.
    pub period: Duration,
    /// The guarantees to judge.
    pub guarantees: Vec<Guarantee>,
    /// How many cycles to watch before the stall; at least 4.
    pub cycles: u64,
    /// Whether the server is also judged by the reference server's own choices.
    pub is_strict: bool,
    /// The dialect of the server: its texts, path and headers.
    pub dialect: Dialect,
    /// The file that the dialect was read from; it is named in the command that repeats the trial.
    pub dialect_file: Option<PathBuf>,
    /// The server's time zone, if it is known. The pushes of a server in another zone are then wrong.
    pub zone: Option<Zone>,
    /// A shell command that starts the server; `None` if it runs already.
    pub spawn: Option<String>,
    /// A shell command that tells the server of `spawn` to shut down; `None` for SIGTERM.
    pub stop_command: Option<String>,
    /// The server's process id, if it runs on this machine.
    pub pid: Option<u32>,
    /// The number of further clients that mostly listen, at most [`LARGEST_CROWD`]; 0 for none.
    pub crowd: u32,
    /// How long two clients stay silent; `None` for the length of the trial. A longer time prolongs the trial.
    pub idle: Option<Duration>,
    /// The largest message that the server accepts, in bytes, if it is known.
    pub max_message: Option<usize>,
    /// The most bytes that the server holds for a client that does not read, if it is known.
    pub outbox_limit: Option<usize>,
    /// The server's ping interval, if it is known.
    pub ping_interval: Option<Duration>,
    /// How long the server may take to end a connection.
    pub close_timeout: Duration,
    /// How many times faster the server's clock runs than this machine's.
    pub speed: u32,
}

impl ConformOptions {
    /// A trial of the server at this address, which pushes once in each `period`; all else has its default value.
    pub fn new(address: Address, period: Duration) -> Self {
        Self {
            address,
            trust: Trust::default(),
            period,
            guarantees: Guarantee::ALL.to_vec(),
            cycles: USUAL_CYCLES,
            is_strict: false,
            dialect: Dialect::default(),
            dialect_file: None,
            zone: None,
            spawn: None,
            stop_command: None,
            pid: None,
            crowd: USUAL_CROWD,
            idle: None,
            max_message: None,
            outbox_limit: None,
            ping_interval: None,
            close_timeout: USUAL_CLOSE_TIMEOUT,
            speed: 1,
        }
    }

    /// The largest message to send, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.max_message.unwrap_or(USUAL_LARGEST)
    }

    /// The command line that repeats the trial: everything that differs from the default.
    pub(super) fn repeat_line(&self) -> String {
        let (address, period) = (quoted(&self.address.to_string()), format_span(self.period));
        let mut words = vec![format!("carillon-sim conform {address}")];
        if self.guarantees.len() < Guarantee::ALL.len() {
            words.extend(self.guarantees.iter().map(ToString::to_string));
        }
        words.push(format!("--period {period}{}", self.trust.as_options()));
        if self.is_strict {
            words.push("--strict".to_owned());
        }
        let mut add = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("--{name} {}", quoted(&value))));
        };
        let usual = Self::new(self.address.clone(), self.period);
        add("cycles", (self.cycles != usual.cycles).then(|| self.cycles.to_string()));
        add("dialect", self.dialect_file.as_ref().map(|file| file.display().to_string()));
        add("zone", self.zone.as_ref().and_then(zone_text));
        add("crowd", (self.crowd != usual.crowd).then(|| self.crowd.to_string()));
        add("idle", self.idle.map(format_span));
        add("max-message", self.max_message.map(format_size));
        add("outbox-limit", self.outbox_limit.map(format_size));
        add("ping-interval", self.ping_interval.map(format_span));
        let timeout = (self.close_timeout != usual.close_timeout).then(|| format_span(self.close_timeout));
        add("close-timeout", timeout);
        add("clock-speed", (self.speed != usual.speed).then(|| self.speed.to_string()));
        add("pid", self.pid.map(|pid| pid.to_string()));
        add("spawn", self.spawn.clone());
        add("stop-command", self.stop_command.clone());
        words.join(" ")
    }
}

/// A zone in the form of `--zone`; `None` for one that the command line cannot state.
fn zone_text(zone: &Zone) -> Option<String> {
    match zone {
        Zone::Fixed(0) => Some("utc".to_owned()),
        Zone::Fixed(seconds) => {
            let (sign, minutes) = (if *seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
            Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
        }
        Zone::Function(_) => Some("local".to_owned()),
        Zone::Switch { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> ConformOptions {
        let address = Address::parse("ws://127.0.0.1:9100/ws?a=b&c").unwrap();
        ConformOptions::new(address, Duration::from_secs(2))
    }

    #[test]
    fn a_trial_with_default_options_is_repeated_by_address_and_period() {
        let line = "carillon-sim conform 'ws://127.0.0.1:9100/ws?a=b&c' --period 2s";
        assert_eq!(usual().repeat_line(), line);
    }

    #[test]
    fn the_line_that_repeats_a_trial_contains_everything_that_decides_it() {
        let options = ConformOptions {
            trust: Trust::any_certificate(),
            guarantees: vec![Guarantee::G2, Guarantee::G10],
            cycles: 4,
            is_strict: true,
            dialect_file: Some("my words.toml".into()),
            zone: Some(Zone::Fixed(-12_600)),
            spawn: Some("exec 'a b' 9100".to_owned()),
            stop_command: Some("pkill -x server".to_owned()),
            pid: Some(77),
            crowd: 0,
            idle: Some(Duration::from_secs(360)),
            max_message: Some(64 << 10),
            outbox_limit: Some((256 << 10) + 1),
            ping_interval: Some(Duration::from_secs(60)),
            close_timeout: Duration::from_millis(1500),
            speed: 150,
            ..usual()
        };
        let line = "carillon-sim conform 'ws://127.0.0.1:9100/ws?a=b&c' G2 G10 --period 2s --insecure --strict --cycles 4 \
            --dialect 'my words.toml' --zone -03:30 --crowd 0 --idle 6m --max-message 64KiB --outbox-limit 262145 \
            --ping-interval 1m --close-timeout 1s500ms --clock-speed 150 --pid 77 --spawn 'exec '\\''a b'\\'' 9100' \
            --stop-command 'pkill -x server'";
        assert_eq!(options.repeat_line(), line);
        let zones = [Zone::UTC, Zone::Fixed(28_800), carillon_server::shell::clock::system_zone()];
        let texts = zones.map(|zone| zone_text(&zone).unwrap());
        assert_eq!(texts, ["utc", "+08:00", "local"]);
    }
}
