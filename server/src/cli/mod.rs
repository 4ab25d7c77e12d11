//! The command line of the server.

mod documents;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::shell::clock::system_zone;
use crate::shell::{FanoutChoice, LogFormat, Options};
use crate::units::{parse_fixed_zone, parse_size, parse_span};
use crate::zone::Zone;

pub use self::documents::{CompletionsArguments, ManArguments};

/// A WebSocket server that pushes to every subscriber at fixed times.
#[derive(Debug, Parser)]
#[command(name = "carillon", version = env!("CARILLON_VERSION"), arg_required_else_help = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands of the binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a script that completes command lines in a shell.
    Completions(CompletionsArguments),
    /// Print the manual page, in the format of roff.
    Man(ManArguments),
    /// Serve clients until SIGTERM or Ctrl-C, then close every connection.
    ///
    /// Exit codes: 0 after a drain, 1 if the server could not run or a second signal ended it, 2 for wrong options.
    Serve(ServeArguments),
}

/// The arguments of `carillon serve`; [`Options`] has the same fields.
#[derive(Args, Clone, Debug)]
pub struct ServeArguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Path that upgrades to WebSocket
    #[arg(long, default_value = "/ws")]
    path: String,

    /// Time between two pushes
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_span)]
    period: Duration,

    /// Number of threads that serve connections [default: the processor's cores]
    #[arg(long, value_name = "NUMBER")]
    shards: Option<NonZeroUsize>,

    /// How a push is written to its subscribers
    #[arg(long, value_name = "WAY", default_value = "auto")]
    fanout: FanoutChoice,

    /// Longest message that the server accepts
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    max_message: usize,

    /// Most connections at a time [default: as many as the limit of open files allows]
    #[arg(long, value_name = "NUMBER")]
    max_connections: Option<usize>,

    /// Time for a client to request its upgrade
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_span)]
    handshake_timeout: Duration,

    /// Silence after which the server pings a client; it cuts the client off after twice that time
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_span)]
    ping_interval: Duration,

    /// Most bytes that may wait for one slow client [default: 256KiB, or twice the largest reply if that is more]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    outbox_limit: Option<usize>,

    /// Time for a closing client to read its last bytes and to disconnect
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_span)]
    close_timeout: Duration,

    /// Format of the log lines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// Zone of all dates: local, utc, or an offset such as +08:00
    #[arg(long, value_name = "ZONE", default_value = "local", value_parser = parse_zone, allow_hyphen_values = true)]
    time_zone: Zone,
}

impl From<ServeArguments> for Options {
    fn from(arguments: ServeArguments) -> Self {
        Self {
            listen: arguments.listen,
            path: arguments.path,
            period: arguments.period,
            shards: arguments.shards,
            fanout: arguments.fanout,
            max_message: arguments.max_message,
            max_connections: arguments.max_connections,
            handshake_timeout: arguments.handshake_timeout,
            ping_interval: arguments.ping_interval,
            outbox_limit: arguments.outbox_limit,
            close_timeout: arguments.close_timeout,
            log_format: arguments.log_format,
            time_zone: arguments.time_zone,
        }
    }
}

/// The zone of this machine, UTC, or a fixed offset.
fn parse_zone(text: &str) -> Result<Zone, String> {
    let zone = if text == "local" { Some(system_zone()) } else { parse_fixed_zone(text) };
    zone.ok_or_else(|| "write local, utc, or an offset such as +08:00".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["carillon", "serve"].iter().chain(arguments);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Serve(arguments) => arguments.into(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_names_the_commit_if_there_is_one() {
        let version = Cli::command().render_version();
        let rest = version.trim_end().strip_prefix(concat!("carillon ", env!("CARGO_PKG_VERSION")));
        let commit = rest.expect(&version).strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
        match commit {
            Some(commit) => assert!(commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{version}"),
            None => assert_eq!(rest, Some("")),
        }
    }

    #[test]
    fn each_shell_gets_completions() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let cli = Cli::try_parse_from(["carillon", "completions", shell]).unwrap();
            let Command::Completions(arguments) = cli.command else { panic!("{cli:?}") };
            let script = arguments.script(Cli::command());
            assert!(script.contains("carillon") && script.contains("time-zone"), "{shell}: {script}");
        }
        let error = Cli::try_parse_from(["carillon", "completions", "cmd"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn the_program_and_its_subcommands_have_manual_pages() {
        let page = |arguments: &[&str]| {
            let cli = Cli::try_parse_from(["carillon", "man"].iter().chain(arguments)).unwrap();
            let Command::Man(arguments) = cli.command else { panic!("{cli:?}") };
            arguments.page(Cli::command())
        };
        assert!(page(&[]).unwrap().contains(".TH carillon 1"));
        let serve = page(&["serve"]).unwrap();
        assert!(
            serve.contains(".TH carillon-serve 1") && serve.contains("Exit codes: 0 after a drain"),
            "{serve}"
        );
        assert_eq!(page(&["sell"]).unwrap_err(), "there is no subcommand \"sell\"");
    }

    #[test]
    fn the_defaults_are_those_of_the_options() {
        // The zone is a function, and addresses of functions cannot be compared.
        let plain = |options| Options { time_zone: Zone::UTC, ..options };
        let [parsed, default] = [parse(&[]).unwrap(), Options::default()].map(plain);
        assert_eq!(format!("{parsed:?}"), format!("{default:?}"));
        assert!(matches!(parse(&[]).unwrap().time_zone, Zone::Function(_)));
    }

    #[test]
    fn each_argument_reaches_the_option_of_its_name() {
        let arguments = "--listen [::1]:81 --path /p --period 1s --shards 2 --fanout portable --max-message 3 \
                         --max-connections 4 --handshake-timeout 5s --ping-interval 6s --outbox-limit 7 \
                         --close-timeout 8s --log-format json --time-zone utc";
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let expected = Options {
            listen: "[::1]:81".parse().unwrap(),
            path: "/p".to_owned(),
            period: Duration::from_secs(1),
            shards: NonZeroUsize::new(2),
            fanout: FanoutChoice::Portable,
            max_message: 3,
            max_connections: Some(4),
            handshake_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(6),
            outbox_limit: Some(7),
            close_timeout: Duration::from_secs(8),
            log_format: LogFormat::Json,
            time_zone: Zone::UTC,
        };
        assert_eq!(format!("{:?}", parse(&arguments).unwrap()), format!("{expected:?}"));
    }

    #[test]
    fn times_have_the_format_of_the_simulator() {
        let options = parse(&["--period", "1h30m"]).unwrap();
        assert_eq!(options.period, Duration::from_secs(5400));
    }

    #[test]
    fn a_negative_offset_is_not_parsed_as_a_flag() {
        let options = parse(&["--time-zone", "-03:30"]).unwrap();
        assert_eq!(options.time_zone.offset(0), -12_600);
    }

    #[test]
    fn a_wrong_value_is_a_usage_error_that_says_what_is_allowed() {
        let error = parse(&["--period", "5"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("such as 1500ms, 5m or 1h30m"), "{error}");
        let error = parse(&["--time-zone", "Europe/Berlin"]).unwrap_err();
        assert!(error.to_string().contains("write local, utc, or an offset such as +08:00"), "{error}");
    }
}
