//! Why there is no verdict.

use std::fmt;

/// Why there is no verdict.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConformError {
    /// A signal has ended the trial.
    Interrupted,
    /// Another server listens where the server that is to be started would; stop it, or choose another port.
    Occupied(String),
    /// The server cannot be reached, or is no WebSocket server under this URL; start it, or correct the URL.
    Unreachable(String),
    /// The system refuses what it takes to run at all.
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
