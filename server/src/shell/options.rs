//! What a server is told at its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use crate::config::{Config, ConfigError};
use crate::shell::clock::system_zone;
use crate::shell::fanout::FanoutChoice;
use crate::shell::log::LogFormat;
use crate::shell::process::limits;
use crate::zone::Zone;

/// What a server is told at its start. The defaults are those of the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Path that upgrades to WebSocket.
    pub path: String,
    /// Time between two pushes.
    pub period: Duration,
    /// Number of threads that serve connections; by default one for each core of the processor.
    pub shards: Option<NonZeroUsize>,
    /// How a push is written to its many subscribers.
    pub fanout: FanoutChoice,
    /// Longest message that is taken, in bytes.
    pub max_message: usize,
    /// Most connections at a time; by default what the limit of open files holds.
    pub max_connections: Option<usize>,
    /// Time for a client to ask for its upgrade.
    pub handshake_timeout: Duration,
    /// Silence after which a client is pinged; after twice that it is cut off.
    pub ping_interval: Duration,
    /// Most bytes that wait for one slow client; by default 256 KiB, or twice the largest reply if that is more.
    pub outbox_limit: Option<usize>,
    /// Time for a closing client to take its last bytes and to leave.
    pub close_timeout: Duration,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Zone of all dates.
    pub time_zone: Zone,
}

impl Default for Options {
    fn default() -> Self {
        let config = Config::default();
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            path: config.path,
            period: config.period,
            shards: None,
            fanout: FanoutChoice::default(),
            max_message: config.max_message,
            max_connections: None,
            handshake_timeout: config.handshake_timeout,
            ping_interval: config.ping_interval,
            outbox_limit: None,
            close_timeout: config.close_timeout,
            log_format: LogFormat::default(),
            time_zone: system_zone(),
        }
    }
}

impl Options {
    /// What the core is held to.
    ///
    /// # Errors
    ///
    /// Values with which the promises cannot be kept; see [`Config::validate`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        let config = Config {
            path: self.path.clone(),
            period: self.period,
            max_message: self.max_message,
            outbox_limit: self.outbox_limit.unwrap_or_else(|| self.default_outbox_limit()),
            handshake_timeout: self.handshake_timeout,
            ping_interval: self.ping_interval,
            close_timeout: self.close_timeout,
        };
        config.validate()?;
        Ok(config)
    }

    /// The number of shards: as asked for, else the cores of the processor.
    pub fn shard_count(&self) -> NonZeroUsize {
        self.shards.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    /// The most connections: as asked for, else what the present limit of open files holds.
    pub fn connection_limit(&self) -> usize {
        self.max_connections.unwrap_or_else(|| limits::capacity(limits::open_files(), self.shard_count()))
    }

    /// As usual, or the least that goes with the largest message.
    fn default_outbox_limit(&self) -> usize {
        Config::default().outbox_limit.max(Config::smallest_outbox(self.max_message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_core() {
        assert_eq!(Options::default().config(), Ok(Config::default()));
        assert_eq!(Options::default().listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_outbox_grows_with_the_largest_message_unless_it_is_given() {
        let options = Options { max_message: 17 << 20, ..Options::default() };
        // 2 × (10 header + 17 prefix + 17 MiB).
        assert_eq!(options.config().unwrap().outbox_limit, 2 * (27 + (17 << 20)));
        let options = Options { outbox_limit: Some(256 << 10), ..options };
        assert!(matches!(options.config(), Err(ConfigError::OutboxLimit { .. })));
    }
}
