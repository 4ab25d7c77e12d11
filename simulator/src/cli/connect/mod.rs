//! `carillon-sim connect`: a terminal client of a real server.

mod app;

use std::future::pending;
use std::io::{self, ErrorKind};
use std::time::Duration;

use carillon_simulator::exit::{self, Exit};
use carillon_simulator::live::Trust;
use carillon_simulator::units::parse_span;
use clap::Args;
use tokio::io::{AsyncWrite, AsyncWriteExt, copy, duplex, stdin};
use tokio::runtime;
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use app::ConnectError;

use super::failure::Failure;
use super::trust::TrustOptions;

/// Size of the buffer between keyboard and client, in bytes.
const KEYBOARD: usize = 4096;

/// The longest time that the client may take to close its connection after `quit`.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help("", ENDS))]
pub(crate) struct Options {
    /// The server, such as ws://127.0.0.1:8080/ws or wss://example.org/ws
    url: String,

    /// Time between two heartbeats; 0 means none
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = parse_heartbeat)]
    heartbeat: Duration,

    /// End when the server refuses the connection or the connection is lost
    #[arg(long)]
    no_reconnect: bool,

    #[command(flatten)]
    trust: TrustOptions,
}

/// Runs the client until the user leaves.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let trust = options.trust.trust(options.url.starts_with("wss:"))?;
    options.trust.warn();
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Impossible(format!("cannot start: {error}")))?;
    let result = runtime.block_on(talk(options, trust));
    // The thread that reads standard input cannot be stopped, so nothing waits for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => Ok(Exit::Held),
        // A reader of standard output that closes it is no error.
        Err(ConnectError::Terminal(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Held),
        Err(error @ ConnectError::Url { .. }) => Err(Failure::Usage(error.to_string())),
        Err(error) => Err(Failure::impossible(error)),
    }
}

async fn talk(options: &Options, trust: Trust) -> Result<(), ConnectError> {
    let (keyboard, input) = duplex(KEYBOARD);
    let options = app::Options {
        url: options.url.clone(),
        heartbeat: options.heartbeat,
        reconnect: !options.no_reconnect,
        trust,
    };
    tokio::select! {
        biased;
        result = app::run(options, input, io::stdout()) => result,
        () = pass_input_until_interrupted(keyboard) => Ok(()),
    }
}

/// Passes typed lines to the client. Ctrl-C sends it `quit`, so that the client closes its connection; a second Ctrl-C
/// ends the program at once.
async fn pass_input_until_interrupted(mut keyboard: impl AsyncWrite + Unpin) {
    tokio::select! {
        () = copy_standard_input(&mut keyboard) => {}
        () = interrupt() => {}
    }
    let farewell = async {
        if keyboard.write_all(b"quit\n").await.is_ok() {
            pending().await
        }
    };
    tokio::select! {
        () = farewell => {}
        () = interrupt() => {}
        () = sleep(FAREWELL_LIMIT) => {}
    }
}

/// Returns only if the client no longer reads its input. At the end of standard input the client keeps running.
async fn copy_standard_input(keyboard: &mut (impl AsyncWrite + Unpin)) {
    if copy(&mut stdin(), keyboard).await.is_ok() {
        pending().await
    }
}

/// Waits for Ctrl-C. Where the signal cannot be caught, it ends the process as usual.
async fn interrupt() {
    if ctrl_c().await.is_err() {
        pending().await
    }
}

/// A time, or 0.
fn parse_heartbeat(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        _ => parse_span(text),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("connect", arguments)
    }

    #[test]
    fn the_defaults_are_those_of_the_original_app() {
        let options = parse(&["ws://127.0.0.1:8080/ws"]).unwrap();
        let defaults = app::Options::new("ws://127.0.0.1:8080/ws");
        assert_eq!(options.heartbeat, defaults.heartbeat);
        assert_eq!(!options.no_reconnect, defaults.reconnect);
    }

    #[test]
    fn a_heartbeat_of_0_means_none() {
        let options = parse(&["ws://h/", "--heartbeat", "0", "--no-reconnect"]).unwrap();
        assert_eq!(options.heartbeat, Duration::ZERO);
        assert!(options.no_reconnect);
        let error = parse(&["ws://h/", "--heartbeat", "5"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("1h30m"), "{error}");
    }

    #[test]
    fn a_server_must_be_named() {
        assert_eq!(parse(&[]).unwrap_err().exit_code(), 2);
    }
}
