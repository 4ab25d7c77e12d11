//! A server under test that is started and stopped here: a shell command in its own process group.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The number of log lines that are kept, the newest.
const KEPT: usize = 100_000;

/// The most characters of a line that an error shows.
const SHOWN: usize = 200;

/// How long the server may take until it accepts connections.
const START: Duration = Duration::from_secs(60);

/// How long another server that may listen there has to answer, and how often it must answer.
const ANSWER: Duration = Duration::from_secs(1);
const ANSWERS: u32 = 5;

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The lines that the server wrote, oldest first.
type Lines = Arc<Mutex<VecDeque<String>>>;

/// Whether a server accepts connections on this address, several times in a row. A server that is about to end does
/// not count, nor does a listener that a process inherited and is about to close.
pub(crate) async fn accepts_connections(server: SocketAddr) -> bool {
    for _ in 0..ANSWERS {
        if !timeout(ANSWER, TcpStream::connect(server)).await.is_ok_and(|result| result.is_ok()) {
            return false;
        }
        sleep(CHECK_INTERVAL * 5).await;
    }
    true
}

/// A running server. The whole process group is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Spawned {
    child: Child,
    group: Pid,
    log: Lines,
}

impl Spawned {
    /// Starts the command with `sh -c`.
    pub(crate) fn start(command: &str) -> io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let log = Lines::default();
        keep_lines(child.stdout.take(), &log);
        keep_lines(child.stderr.take(), &log);
        let group = Pid::from_child(&child);
        Ok(Self { child, group, log })
    }

    /// Waits until the server accepts connections.
    ///
    /// # Errors
    ///
    /// A sentence that says why it does not: the process has ended, or the time is up.
    pub(crate) async fn wait_until_accepting(&mut self, server: SocketAddr) -> Result<(), String> {
        let trying = async {
            loop {
                if let Some(sentence) = self.exit_sentence() {
                    return Err(sentence);
                }
                if TcpStream::connect(server).await.is_ok() {
                    return Ok(());
                }
                sleep(CHECK_INTERVAL).await;
            }
        };
        match timeout(START, trying).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "no server listens on {server} {START:?} after the command was started{}",
                self.last_lines()
            )),
        }
    }

    /// A sentence about the end of the process, if it has ended.
    pub(crate) fn exit_sentence(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let output = self.last_lines();
        Some(format!("the server that was started has ended by itself with {}{output}", describe(status)))
    }

    /// The process id of the server: the process itself, or the one that its shell has started.
    pub(crate) fn pid(&self) -> u32 {
        let members = self.members();
        members.iter().copied().find(|pid| *pid != self.child.id()).unwrap_or(self.child.id())
    }

    /// Stops the process group (SIGSTOP), or continues it (SIGCONT).
    pub(crate) fn suspend(&self, is_suspended: bool) {
        let signal = if is_suspended { Signal::STOP } else { Signal::CONT };
        // A group that is gone needs no signal.
        let _is_sent = kill_process_group(self.group, signal);
    }

    /// Sends SIGTERM to the server alone, not to its shell, so that the shell can report how it ended.
    pub(crate) fn terminate(&self) {
        let members = self.members();
        let servers: Vec<u32> = members.iter().copied().filter(|pid| *pid != self.child.id()).collect();
        let asked = if servers.is_empty() { vec![self.child.id()] } else { servers };
        for pid in asked {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _is_sent = kill_process(pid, Signal::TERM);
            }
        }
    }

    /// Waits for the end of the process; `None` if it does not end within `bound`.
    pub(crate) async fn wait_for_exit(&mut self, bound: Duration) -> Option<ExitStatus> {
        let waiting = async {
            loop {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return status;
                }
                sleep(CHECK_INTERVAL).await;
            }
        };
        timeout(bound, waiting).await.ok()
    }

    /// The lines that it has written, oldest first.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The process ids of the group.
    fn members(&self) -> Vec<u32> {
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid| group_of(*pid) == Some(self.group.as_raw_nonzero().get())).collect()
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let last: Vec<String> =
            log.iter().rev().take(3).rev().map(|line| format!("\n    {line:.SHOWN$}")).collect();
        if last.is_empty() { String::new() } else { format!("; it wrote{}", last.concat()) }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // Ends all processes of the group, even if the leader is gone already. The results do not matter: a leader
        // that is gone needs no signal.
        let _is_sent = kill_process_group(self.group, Signal::KILL);
        let _is_reaped = self.child.wait();
    }
}

/// An exit status as text, such as `status 0`.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

/// The process group of a process: the third field after the name in `/proc/PID/stat`. The name is in parentheses
/// and may contain anything.
fn group_of(pid: u32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

/// Collects the lines of a stream to its end, so that the server never blocks on a full pipe.
fn keep_lines(stream: Option<impl Read + Send + 'static>, log: &Lines) {
    let Some(stream) = stream else { return };
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == KEPT {
                log.pop_front();
            }
            log.push_back(text);
        }
    });
}
