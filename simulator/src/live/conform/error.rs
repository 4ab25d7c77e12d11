//! Errors of a trial.

use std::fmt;

/// Why a trial has no verdict.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConformError {
    /// A signal interrupted the trial.
    Interrupted,
    /// Another server already listens on the port of the server that is to be started. Stop it, or choose another
    /// port.
    Occupied(String),
    /// The server cannot be reached, or is not a WebSocket server at this URL. Start it, or correct the URL.
    Unreachable(String),
    /// The system refuses a resource that the trial needs, such as a process or a runtime.
    System(String),
}

impl fmt::Display for ConformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Occupied(cause) | Self::Unreachable(cause) | Self::System(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for ConformError {}
