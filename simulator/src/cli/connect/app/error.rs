//! Why the client ended with an error.

use std::fmt;
use std::io;

/// Why the client ended with an error.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum ConnectError {
    /// The server refused the connection or the handshake, and the client may not try again. Start the client again
    /// when the server is up, or let it reconnect.
    Refused {
        /// The URL as it was given.
        url: String,
        /// What happened.
        cause: String,
    },
    /// The TLS handshake failed. The server's certificate or the client's trust options must change first.
    Tls {
        /// The URL as it was given.
        url: String,
        /// What is wrong, and what to do about it.
        cause: String,
    },
    /// The input could not be read, or the output could not be written.
    Terminal(io::Error),
    /// No server can be reached under this URL: correct it.
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { url, cause } | Self::Tls { url, cause } => {
                write!(f, "could not connect to {url}: {cause}")
            }
            Self::Terminal(error) => write!(f, "could not use the terminal: {error}"),
            Self::Url { url, cause } => write!(f, "cannot use the URL {url:?}: {cause}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Terminal(error) => Some(error),
            Self::Refused { .. } | Self::Tls { .. } | Self::Url { .. } => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}
