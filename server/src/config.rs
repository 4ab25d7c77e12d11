//! The limits and times of a server's core.

use std::fmt;
use std::time::Duration;

use crate::protocol::ECHO_PREFIX;

/// The longest header of a server's frame: two bytes and an eight-byte length.
const MAX_HEADER: usize = 10;

/// The limits and times that a hub applies to its clients. [`Config::validate`] checks the ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The path of the WebSocket endpoint; a query behind it is ignored. It begins with `/` and has no `?`, `#` or
    /// space. Default `/ws`.
    pub path: String,
    /// Time between two cycles, 10 ms to ten years. Default 5 min.
    pub period: Duration,
    /// The longest message accepted, in bytes of payload. Default 64 KiB.
    pub max_message: usize,
    /// The most bytes that wait for one slow client, at least [`Config::smallest_outbox`]. Default 256 KiB.
    pub outbox_limit: usize,
    /// Time for the request's head to arrive, 10 ms to ten years. Default 10 s.
    pub handshake_timeout: Duration,
    /// Silence after which the server pings a client, 10 ms to ten years. After twice that the server cuts the client
    /// off. Default 60 s.
    pub ping_interval: Duration,
    /// Time for a closing client to read its last bytes and to close its own side, 10 ms to ten years. Default 5 s.
    pub close_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/ws".to_owned(),
            period: Duration::from_secs(300),
            max_message: 64 << 10,
            outbox_limit: 256 << 10,
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Checks whether a server can keep its promises with these values.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range, with the range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let smallest_outbox = Self::smallest_outbox(self.max_message);
        if !self.path.starts_with('/') || self.path.contains(['?', '#', ' ']) {
            return Err(ConfigError::Path { path: self.path.clone() });
        }
        if self.outbox_limit < smallest_outbox {
            return Err(ConfigError::OutboxLimit { limit: self.outbox_limit, smallest: smallest_outbox });
        }
        for (name, span) in [
            ("period", self.period),
            ("handshake-timeout", self.handshake_timeout),
            ("ping-interval", self.ping_interval),
            ("close-timeout", self.close_timeout),
        ] {
            if !(SHORTEST_SPAN..=LONGEST_SPAN).contains(&span) {
                return Err(ConfigError::Span { name, span });
            }
        }
        Ok(())
    }

    /// The smallest valid [`Config::outbox_limit`] for messages of up to `max_message` bytes, in bytes: twice the
    /// largest reply with its header.
    pub fn smallest_outbox(max_message: usize) -> usize {
        let largest_reply = MAX_HEADER.saturating_add(ECHO_PREFIX.len()).saturating_add(max_message);
        largest_reply.saturating_mul(2)
    }
}

/// Shorter times are within the timer noise of an ordinary operating system.
const SHORTEST_SPAN: Duration = Duration::from_millis(10);

/// Ten years: longer than any use, and far from the end of the clock's range.
const LONGEST_SPAN: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A value with which a server cannot keep its promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A path that no request can ask for.
    Path {
        /// The invalid path, as given.
        path: String,
    },
    /// An outbox that cannot hold the reply to the largest message while the input of its client is stalled.
    OutboxLimit {
        /// The invalid limit, in bytes.
        limit: usize,
        /// The smallest valid limit for the configured largest message, in bytes.
        smallest: usize,
    },
    /// A time shorter than 10 ms or longer than ten years.
    Span {
        /// The option's name without its dashes, such as `close-timeout`.
        name: &'static str,
        /// The invalid time.
        span: Duration,
    },
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { path } => {
                write!(f, "path {path:?} must begin with '/' and contain no '?', '#' or space")
            }
            Self::OutboxLimit { limit, smallest } => write!(
                f,
                "outbox-limit is {limit} bytes; it must be at least {smallest}, twice the reply to the largest message"
            ),
            Self::Span { name, span } => {
                write!(f, "{name} is {span:?}; it must lie between {SHORTEST_SPAN:?} and ten years")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn an_outbox_holds_twice_the_largest_reply_or_is_refused() {
        // 2 × (10 header + 17 prefix + 100 text) = 254 bytes.
        let with_limit =
            |outbox_limit| Config { max_message: 100, outbox_limit, ..Config::default() }.validate();
        assert_eq!(with_limit(254), Ok(()));
        assert_eq!(with_limit(253), Err(ConfigError::OutboxLimit { limit: 253, smallest: 254 }));
    }

    #[test]
    fn times_and_paths_out_of_range_are_named() {
        let short = Config { close_timeout: Duration::from_millis(9), ..Config::default() };
        assert!(short.validate().unwrap_err().to_string().starts_with("close-timeout is 9ms"));
        let ten_years = Duration::from_secs(315_360_000);
        let longest = Config { period: ten_years, ..Config::default() };
        assert_eq!(longest.validate(), Ok(()));
        let longer = Config { period: ten_years + Duration::from_nanos(1), ..Config::default() };
        assert!(longer.validate().is_err());
        let path = Config { path: "ws".to_owned(), ..Config::default() };
        assert!(path.validate().unwrap_err().to_string().contains("must begin with '/'"));
    }
}
