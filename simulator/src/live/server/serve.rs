//! The reference server next to a load: a separate process if its binary is found, else a thread.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carillon_server::Zone;
use carillon_server::shell::{Journal, LogFormat, Options, Server};
use rustix::process::{Pid, Signal, kill_process};

use crate::units::format_span;

/// The time between two checks, and the most checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
const MOST_CHECKS: u32 = 500;

/// The reference server. It runs until this value is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    child: Option<Child>,
}

impl Serving {
    /// Starts the server on a free port of the loopback interface, with this time between two pushes.
    ///
    /// # Errors
    ///
    /// There is no free port, the process or thread cannot be started, or the server does not answer.
    pub fn start(period: Duration) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = match binary() {
            Some(binary) => Some(start_process(&binary, address, period)?),
            None => {
                start_thread(address, period)?;
                None
            }
        };
        let serving = Self { address, child };
        for _ in 0..MOST_CHECKS {
            if TcpStream::connect(address).is_ok() {
                return Ok(serving);
            }
            thread::sleep(CHECK_INTERVAL);
        }
        Err(io::Error::other(format!("no server listens on {address}")))
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// The id of the server's process; `None` if it is a thread of this process, whose memory and processor time
    /// cannot be separated.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // The shutdown takes at most the close timeout. A process that is gone needs no signal.
        let _is_asked = kill_process(Pid::from_child(child), Signal::TERM);
        for _ in 0..MOST_CHECKS {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(CHECK_INTERVAL);
        }
        let _is_killed = child.kill();
        let _is_reaped = child.wait();
    }
}

/// The path of the server's binary, if it is next to this program.
fn binary() -> Option<PathBuf> {
    let sibling = env::current_exe().ok()?.with_file_name("carillon");
    sibling.is_file().then_some(sibling)
}

fn start_process(binary: &PathBuf, address: SocketAddr, period: Duration) -> io::Result<Child> {
    Command::new(binary)
        .args(["serve", "--listen", &address.to_string(), "--period", &format_span(period)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        // Ctrl-C must reach only the load; the server is told to end after the load.
        .process_group(0)
        .spawn()
}

/// Starts the server in a thread, which ends with this process.
fn start_thread(address: SocketAddr, period: Duration) -> io::Result<()> {
    let journal = Arc::new(Journal::new(LogFormat::Text, Zone::UTC, io::sink())?);
    let options = Options { listen: address, period, ..Options::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = {
        let _guard = runtime.enter();
        Server::bind(&options, journal).map_err(|error| io::Error::other(error.to_string()))?
    };
    thread::Builder::new().name("server".to_owned()).spawn(move || {
        // The server has no shutdown of its own. An error shows in its connections.
        let _result = runtime.block_on(server.run(std::future::pending::<()>()));
    })?;
    Ok(())
}
