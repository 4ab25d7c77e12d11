//! Options of a trial.

use std::time::Duration;

use crate::dialect::Dialect;
use crate::live::server::address::Address;
use crate::live::server::tls::Trust;
use crate::oracle::guarantee::Guarantee;
use crate::units::format_span;

/// The seed for masks and handshake keys; nothing else in a trial is random.
pub(super) const SEED: u64 = 1;

/// The largest message that is sent if the options state none, in bytes: the reference server's limit.
const USUAL_LARGEST: usize = 64 << 10;

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
    /// A shell command that starts the server; `None` if it runs already.
    pub spawn: Option<String>,
    /// The server's process id, if it runs on this machine.
    pub pid: Option<u32>,
    /// The largest message that the server accepts, in bytes, if it is known.
    pub max_message: Option<usize>,
    /// The server's ping interval, if it is known.
    pub ping_interval: Option<Duration>,
    /// How long the server may take to end a connection.
    pub close_timeout: Duration,
    /// How many times faster the server's clock runs than this machine's.
    pub speed: u32,
}

impl ConformOptions {
    /// The largest message to send, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.max_message.unwrap_or(USUAL_LARGEST)
    }

    /// The command line that repeats the trial. It leaves out the dialect.
    pub(super) fn repeat_line(&self) -> String {
        let (address, period) = (&self.address, format_span(self.period));
        let mut line = format!("carillon-sim conform {address}{} --period {period}", self.trust.as_options());
        if self.is_strict {
            line.push_str(" --strict");
        }
        if let Some(command) = &self.spawn {
            line.push_str(&format!(" --spawn '{}'", command.replace('\'', r"'\''")));
        }
        line
    }
}
