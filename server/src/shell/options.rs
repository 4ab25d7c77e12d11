//! The command line of the server.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::shell::fanout::FanoutChoice;
use crate::shell::limits;
use crate::shell::log::LogFormat;
use crate::shell::units::{parse_size, parse_span, parse_zone};
use crate::zone::Zone;

/// A WebSocket server that pushes to every subscriber at fixed times.
#[derive(Debug, Parser)]
#[command(name = "carillon", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve clients until SIGTERM or Ctrl-C, then see every one of them off.
    ///
    /// Exit codes: 0 after a drain, 1 if the server could not run or was cut short, 2 for options that make no sense.
    Serve(Options),
}

/// What a server is told at its start. The defaults are those of the command line.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Path that upgrades to WebSocket
    #[arg(long, default_value = "/ws")]
    pub path: String,

    /// Time between two pushes
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_span)]
    pub period: Duration,

    /// Number of threads that serve connections [default: the processor's cores]
    #[arg(long, value_name = "NUMBER")]
    pub shards: Option<NonZeroUsize>,

    /// How a push is written to its many subscribers
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub fanout: FanoutChoice,

    /// Longest message that is taken
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub max_message: usize,

    /// Most connections at a time [default: what the limit of open files holds]
    #[arg(long, value_name = "NUMBER")]
    pub max_connections: Option<usize>,

    /// Time for a client to ask for its upgrade
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_span)]
    pub handshake_timeout: Duration,

    /// Silence after which a client is pinged; after twice that it is cut off
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_span)]
    pub ping_interval: Duration,

    /// Most bytes that wait for one slow client [default: 256KiB, or twice the largest reply if that is more]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub outbox_limit: Option<usize>,

    /// Time for a closing client to take its last bytes and to leave
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_span)]
    pub close_timeout: Duration,

    /// How log lines are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Zone of all dates: local, utc, or an offset such as +08:00
    #[arg(long, value_name = "ZONE", default_value = "local", value_parser = parse_zone, allow_hyphen_values = true)]
    pub time_zone: Zone,
}

impl Default for Options {
    fn default() -> Self {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            options: Options,
        }
        Defaults::parse_from(["carillon"]).options
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
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["carillon", "serve"].iter().chain(arguments);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Serve(options) => options,
        })
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_core() {
        assert_eq!(Options::default().config(), Ok(Config::default()));
        assert_eq!(Options::default().listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_outbox_grows_with_the_largest_message_unless_it_is_given() {
        let options = parse(&["--max-message", "17MiB"]).unwrap();
        // 2 × (10 header + 17 prefix + 17 MiB).
        assert_eq!(options.config().unwrap().outbox_limit, 2 * (27 + (17 << 20)));
        let options = parse(&["--max-message", "17MiB", "--outbox-limit", "256KiB"]).unwrap();
        assert!(matches!(options.config(), Err(ConfigError::OutboxLimit { .. })));
    }

    #[test]
    fn an_offset_west_of_greenwich_is_not_taken_for_a_flag() {
        let options = parse(&["--time-zone", "-03:30"]).unwrap();
        assert_eq!(options.time_zone.offset(0), -12_600);
    }

    #[test]
    fn a_wrong_value_is_a_usage_error_that_says_what_is_allowed() {
        let error = parse(&["--period", "5"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("such as 1500ms or 5m"), "{error}");
    }
}
