//! What is on trial, and how.

use std::time::Duration;

use crate::dialect::Dialect;
use crate::live::server::address::Address;
use crate::live::server::tls::Trust;
use crate::oracle::guarantee::Guarantee;
use crate::units::format_span;

/// Decides masks and handshake keys; nothing else in a trial is drawn.
pub(super) const SEED: u64 = 1;

/// The largest message that is sent where the options state none: the reference server's limit.
const USUAL_LARGEST: usize = 64 << 10;

/// What is on trial, and how.
#[derive(Clone, Debug)]
pub struct ConformOptions {
    /// The server.
    pub address: Address,
    /// Whose certificates are trusted, if the address asks for TLS.
    pub trust: Trust,
    /// Time between two pushes.
    pub period: Duration,
    /// What to judge; all of them, or some.
    pub guarantees: Vec<Guarantee>,
    /// Cycles to watch before the stall, at least 4.
    pub cycles: u64,
    /// Whether the server is held to the reference server's own choices as well.
    pub is_strict: bool,
    /// How the server words things.
    pub dialect: Dialect,
    /// A shell command that starts the server.
    pub spawn: Option<String>,
    /// The server's process, if it runs on this machine.
    pub pid: Option<u32>,
    /// The largest message that the server takes, if its owner states it.
    pub max_message: Option<usize>,
    /// Its ping interval, if its owner states it.
    pub ping_interval: Option<Duration>,
    /// How long the end of a connection may take.
    pub close_timeout: Duration,
    /// How many times faster than this machine's the server's clock runs.
    pub speed: u32,
}

impl ConformOptions {
    /// The largest message to send.
    pub(super) fn longest(&self) -> usize {
        self.max_message.unwrap_or(USUAL_LARGEST)
    }

    /// The command that tries the same server again; it leaves out the dialect.
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
