//! `carillon-sim conform`: a verdict on every guarantee of a server on a real socket.

use std::path::PathBuf;
use std::time::Duration;

use carillon_server::Zone;
use carillon_server::shell::clock::system_zone;
use carillon_simulator::Guarantee;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::live::Trust;
use carillon_simulator::live::conform::{
    ConformError, ConformOptions, ConformReport, LARGEST_CROWD, conform, junit,
};
use carillon_simulator::live::{Address, Dialect};
use carillon_simulator::units::{parse_fixed_zone, parse_size, parse_span};
use clap::Args;

use super::dialect::dialect;
use super::failure::Failure;
use super::output::{JsonOutput, write_file};
use super::terminal;
use super::trust::TrustOptions;

/// The delays of a scheduler hide shorter periods.
const SHORTEST_PERIOD: Duration = Duration::from_millis(500);

/// The ends that this subcommand can have.
const ENDS: &[Exit] =
    &[Exit::Held, Exit::Impossible, Exit::NothingRan, Exit::Violated, Exit::Unreadable, Exit::Interrupted];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(
    "A verdict takes about thirteen periods, five more with --spawn or --pid, so let the server push every few seconds.\n\
     Where its timer is fixed, run it faster: faketime -f '+0 x150' COMMAND, with --clock-speed 150, makes five\n\
     minutes two seconds.",
    ENDS
))]
pub(crate) struct Options {
    /// The server, such as ws://127.0.0.1:8080/ws or wss://example.org/ws
    #[arg(value_parser = Address::parse)]
    url: Address,

    /// The guarantees to test, such as G2 G4 [default: all]
    #[arg(value_name = "ID")]
    guarantees: Vec<Guarantee>,

    /// Time between two pushes of this server
    #[arg(long, value_name = "TIME", value_parser = parse_period)]
    period: Duration,

    /// Number of cycles to watch before the server is stopped or shut down
    #[arg(long, value_name = "NUMBER", default_value = "8", value_parser = clap::value_parser!(u64).range(4..=1000))]
    cycles: u64,

    /// Also test the reference server's own choices: statuses of refusals, one text per cycle, the log
    #[arg(long)]
    strict: bool,

    /// Start the server with this shell command, and stop it at the end (G7, G14, G15)
    #[arg(long, value_name = "COMMAND")]
    spawn: Option<String>,

    /// Tell the server of --spawn to shut down with this shell command in the place of SIGTERM, such as the one of a
    /// proxy that SIGTERM would end before its server (G14)
    #[arg(long, value_name = "COMMAND", requires = "spawn")]
    stop_command: Option<String>,

    /// The server's process on this machine: it is stopped for a while (G7), and its open files are counted (G11)
    #[arg(long, value_name = "PID", conflicts_with = "spawn", value_parser = clap::value_parser!(u32).range(2..))]
    pid: Option<u32>,

    /// The server's own commands and texts: a TOML file
    #[arg(long, value_name = "FILE")]
    dialect: Option<PathBuf>,

    /// The server's time zone: local, utc, or an offset such as +08:00 [default: any, if it stays the same]
    #[arg(long, value_name = "ZONE", value_parser = check_zone, allow_hyphen_values = true)]
    zone: Option<String>,

    #[command(flatten)]
    trust: TrustOptions,

    /// Number of further clients that mostly listen; 0 for none
    #[arg(long, value_name = "NUMBER", default_value = "300", value_parser = clap::value_parser!(u32).range(..=i64::from(LARGEST_CROWD)))]
    crowd: u32,

    /// How long two clients stay silent; they must not be cut off [default: the length of the trial]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    idle: Option<Duration>,

    /// The longest message that the server accepts; it must refuse longer ones with 1009
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_message: Option<usize>,

    /// The most that the server holds for a client that does not read (G10)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    outbox_limit: Option<usize>,

    /// The server's ping interval; it must cut off a client that is silent for twice that time (G13)
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    ping_interval: Option<Duration>,

    /// Longest time until the server releases a connection that has ended
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_span)]
    close_timeout: Duration,

    /// How many times faster the server's clock runs than this machine's
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clock_speed: u32,

    /// Write the verdicts to this file as JSON; - prints them in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the verdicts to this file as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Tests the server and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let dialect = dialect(options.dialect.as_deref())?;
    let trust = options.trust.trust(options.url.is_secure())?;
    options.trust.warn();
    let json = JsonOutput::open(options.json.as_deref())?;
    let result = conform(options.trial(dialect, trust), terminal::complain);
    let conformance = match result {
        Ok(conformance) => conformance,
        Err(ConformError::Interrupted) => return Ok(Exit::Interrupted),
        Err(error) => return Err(Failure::impossible(error)),
    };
    let report = ConformReport { conformance: &conformance, palette: terminal::palette() };
    json.report(&report, conformance.summary())?;
    if let Some(path) = &options.junit {
        write_file(path, junit(&conformance))?;
    }
    Ok(Exit::from(conformance.verdict()))
}

impl Options {
    fn trial(&self, dialect: Dialect, trust: Trust) -> ConformOptions {
        let all = || Guarantee::ALL.to_vec();
        ConformOptions {
            trust,
            guarantees: if self.guarantees.is_empty() { all() } else { self.guarantees.clone() },
            cycles: self.cycles,
            is_strict: self.strict,
            dialect,
            dialect_file: self.dialect.clone(),
            zone: self.zone.as_deref().and_then(zone),
            spawn: self.spawn.clone(),
            stop_command: self.stop_command.clone(),
            pid: self.pid,
            crowd: self.crowd,
            idle: self.idle,
            max_message: self.max_message,
            outbox_limit: self.outbox_limit,
            ping_interval: self.ping_interval,
            close_timeout: self.close_timeout,
            speed: self.clock_speed,
            ..ConformOptions::new(self.url.clone(), self.period)
        }
    }
}

/// The zone of this machine, UTC, or a fixed offset; `None` for any other text.
fn zone(text: &str) -> Option<Zone> {
    if text == "local" { Some(system_zone()) } else { parse_fixed_zone(text) }
}

/// The text itself, if it states a zone: zones cannot be compared, and options can.
fn check_zone(text: &str) -> Result<String, String> {
    let known = zone(text).map(|_| text.to_owned());
    known.ok_or_else(|| "write local, utc, or an offset such as +08:00".to_owned())
}

fn parse_period(text: &str) -> Result<Duration, String> {
    let period = parse_span(text)?;
    if period < SHORTEST_PERIOD {
        return Err(
            "use at least 500ms: the delays of this machine's scheduler hide shorter periods".to_owned()
        );
    }
    Ok(period)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("conform", arguments)
    }

    #[test]
    fn all_guarantees_are_tested_unless_some_are_named() {
        let options = parse(&["ws://h/ws", "--period", "2s"]).unwrap();
        assert_eq!(options.trial(Dialect::default(), Trust::default()).guarantees.len(), 15);
        let options = parse(&["ws://h/ws", "g2", "G4", "--period", "2s"]).unwrap();
        assert_eq!(
            options.trial(Dialect::default(), Trust::default()).guarantees,
            [Guarantee::G2, Guarantee::G4]
        );
    }

    #[test]
    fn every_option_reaches_the_trial() {
        let options = parse(&[
            "ws://h/ws",
            "--period",
            "2s",
            "--zone",
            "-03:30",
            "--crowd",
            "0",
            "--idle",
            "6m",
            "--outbox-limit",
            "1MiB",
            "--spawn",
            "x",
            "--stop-command",
            "y",
            "--dialect",
            "words.toml",
        ]);
        let trial = options.unwrap().trial(Dialect::default(), Trust::default());
        assert_eq!(trial.zone.map(|zone| zone.offset(0)), Some(-12_600));
        assert_eq!((trial.crowd, trial.idle), (0, Some(Duration::from_secs(360))));
        assert_eq!((trial.outbox_limit, trial.stop_command.as_deref()), (Some(1 << 20), Some("y")));
        assert_eq!(trial.dialect_file, Some("words.toml".into()));
    }

    #[test]
    fn options_that_contradict_each_other_are_usage_errors() {
        for arguments in [
            &["ws://h/ws"] as &[&str],
            &["ws://h/ws", "--period", "10ms"],
            &["ws://h/ws", "--period", "2"],
            &["http://h/ws", "--period", "2s"],
            &["ws://h/ws", "G16", "--period", "2s"],
            &["ws://h/ws", "--period", "2s", "--spawn", "x", "--pid", "77"],
            &["ws://h/ws", "--period", "2s", "--cycles", "3"],
            &["ws://h/ws", "--period", "2s", "--crowd", "18001"],
            &["ws://h/ws", "--period", "2s", "--zone", "Europe/Berlin"],
            &["ws://h/ws", "--period", "2s", "--stop-command", "x"],
        ] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }
}
