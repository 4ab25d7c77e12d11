//! Why a server could not run.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::config::ConfigError;

/// Why a server could not run, or not to its end.
#[derive(Debug)]
pub enum ServeError {
    /// The options contradict each other.
    Config(ConfigError),
    /// Some clients or a shard did not end in time.
    DrainTimedOut,
    /// The system refuses the io_uring that was asked for.
    Fanout(io::Error),
    /// A second signal came before the drain was over.
    Interrupted,
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The thread of a shard has ended, which is a bug.
    ShardFailed,
    /// The system refuses something else that every server needs.
    System(io::Error),
}

impl std::error::Error for ServeError {}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::DrainTimedOut => f.write_str("the drain did not end in time"),
            Self::Fanout(error) => {
                write!(f, "fanout is uring, but there is no io_uring: {error}; choose auto or portable")
            }
            Self::Interrupted => f.write_str("interrupted before every client was seen off"),
            Self::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: another process does so already")
            }
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::ShardFailed => f.write_str("a shard has failed"),
            Self::System(error) => write!(f, "{error}"),
        }
    }
}
