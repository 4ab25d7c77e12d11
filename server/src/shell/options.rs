//! The options of a server.

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

/// The options of a server. The defaults are those of the command line; [`Config`] states the ranges of the times.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address and port to listen on; port 0 selects a free port. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The path of the WebSocket endpoint. Default `/ws`.
    pub path: String,
    /// Time between two pushes. Default 5 min.
    pub period: Duration,
    /// The number of threads that serve connections. By default one for each core of the processor.
    pub shards: Option<NonZeroUsize>,
    /// The way in which a push is written to its subscribers. By default an io_uring if the system allows it.
    pub fanout: FanoutChoice,
    /// The longest message accepted, in bytes. Default 64 KiB.
    pub max_message: usize,
    /// The most connections at a time. By default the number that the limit of open files allows.
    pub max_connections: Option<usize>,
    /// Time for a client to ask for its upgrade. Default 10 s.
    pub handshake_timeout: Duration,
    /// Silence after which the server pings a client; after twice that the server cuts the client off. Default 60 s.
    pub ping_interval: Duration,
    /// The most bytes that wait for one slow client. By default 256 KiB, or twice the largest reply if that is more.
    pub outbox_limit: Option<usize>,
    /// Time for a closing client to read its last bytes and to close its own side. Default 5 s.
    pub close_timeout: Duration,
    /// The format of the log lines. By default text.
    pub log_format: LogFormat,
    /// The time zone of all dates. By default the machine's.
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
    /// The configuration of the core that these options describe.
    ///
    /// # Errors
    ///
    /// The values do not pass [`Config::validate`].
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

    /// The number of shards: [`Options::shards`], or else the number of cores.
    pub fn shard_count(&self) -> NonZeroUsize {
        self.shards.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    /// The most connections: [`Options::max_connections`], or else the number that the present limit of open files
    /// allows.
    pub fn connection_limit(&self) -> usize {
        self.max_connections.unwrap_or_else(|| limits::capacity(limits::open_files(), self.shard_count()))
    }

    /// The default of the core, or the smallest valid limit for the largest message if that is more.
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
