//! Servers in separate processes: this test binary, started again as a server.

use std::env;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use chrono::Local;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Duration;

use super::free_port;
use crate::catalogue::{CompactServer, Defect, Listing, Settings};

/// The environment variables for the process.
const PORT: &str = "CARILLON_TEST_PORT";
const SERVER: &str = "CARILLON_TEST_SERVER";

/// The value that selects the original app's listing.
const LISTING: &str = "listing";

/// The period of all these servers.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// The ping interval and the close timeout of all these servers.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(2);
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest message of all these servers, in bytes.
pub(crate) const MAX_MESSAGE: usize = 64 << 10;

/// The server that the process runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TestServer {
    Compact(Option<Defect>),
    Listing,
}

/// A port that was free a moment ago, and the shell command that serves on it.
pub(crate) fn command(server: TestServer) -> (u16, String) {
    let port = free_port();
    let name = match server {
        TestServer::Compact(None) => "none".to_owned(),
        TestServer::Compact(Some(defect)) => format!("{defect:?}"),
        TestServer::Listing => LISTING.to_owned(),
    };
    let executable = env::current_exe().expect("a test has an executable");
    let test = "support::child::serves_as_it_is_told --exact --ignored --nocapture";
    (port, format!("{PORT}={port} {SERVER}={name} exec '{}' {test}", executable.display()))
}

/// A server that runs until this value is dropped, and is then killed.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
}

impl Process {
    /// Starts the server, and waits until it listens.
    pub(crate) fn start(server: TestServer) -> Self {
        // Another process may have taken the port in the meantime.
        let started = (0..5).find_map(|_| Self::try_start(server));
        started.expect("a server that serves")
    }

    /// `None` if the server ended before it listened.
    fn try_start(server: TestServer) -> Option<Self> {
        let (port, command) = command(server);
        let quiet = || Stdio::null();
        let child = Command::new("sh").args(["-c", &command]).stdout(quiet()).stderr(quiet()).spawn();
        let mut process = Self { child: child.expect("the system has room for a process"), port };
        loop {
            let has_ended = process.child.try_wait().expect("a child of ours").is_some();
            if has_ended {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(process);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
#[ignore = "a server that other tests start"]
fn serves_as_it_is_told() {
    let port: u16 = env::var(PORT).expect("other tests give the port").parse().expect("a number");
    let name = env::var(SERVER).expect("other tests name the server");
    Runtime::new().expect("the system has room for a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let clock = Arc::new(|| Local::now().naive_local());
        let journal = Arc::new(|line: String| println!("{line}"));
        let mut told = signal(SignalKind::terminate()).expect("signals can be caught");
        if name == LISTING {
            let listing = Listing::start(settings(), clock, journal);
            loop {
                let (stream, _) = listener.accept().await.expect("sockets are accepted");
                tokio::spawn(listing.clone().serve(stream));
            }
        }
        let defect = Defect::ALL.iter().copied().find(|defect| format!("{defect:?}") == name);
        let server = CompactServer::start(settings(), defect, clock, journal);
        loop {
            tokio::select! {
                _ = told.recv() => break,
                accepted = listener.accept() => {
                    let (stream, _) = accepted.expect("sockets are accepted");
                    tokio::spawn(server.clone().serve(stream));
                }
            }
        }
        drop(listener);
        server.drain().await;
    });
}

fn settings() -> Settings {
    Settings {
        period: PERIOD,
        path: "/ws".to_owned(),
        max_message: MAX_MESSAGE,
        outbox_limit: 256 << 10,
        handshake_timeout: Duration::from_secs(2),
        ping_interval: PING_INTERVAL,
        close_timeout: CLOSE_TIMEOUT,
        shards: 2,
    }
}
