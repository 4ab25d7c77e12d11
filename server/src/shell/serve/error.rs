//! The errors of a server.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::config::ConfigError;

/// The error for which a server could not start, or ended without a complete drain.
#[derive(Debug)]
pub enum ServeError {
    /// The options contradict each other.
    Config(ConfigError),
    /// Some connections or a shard did not end in time.
    DrainTimedOut,
    /// The options demand an io_uring, and the system refuses it.
    Fanout(io::Error),
    /// A second signal came before the drain was over.
    Interrupted,
    /// The server cannot listen on the address.
    Listen {
        /// The address of the options.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// The thread of a shard has ended unexpectedly, which is a bug.
    ShardFailed,
    /// The system refuses another resource that every server needs, such as a thread.
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
            Self::Interrupted => f.write_str("interrupted before all connections were closed"),
            Self::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: another process already uses it")
            }
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::ShardFailed => f.write_str("a shard has failed"),
            Self::System(error) => write!(f, "{error}"),
        }
    }
}
