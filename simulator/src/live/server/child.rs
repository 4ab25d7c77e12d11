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

/// Programs that start a server and wait for it.
const SHELLS: [&str; 6] = ["ash", "bash", "busybox", "dash", "sh", "zsh"];

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

    /// Stops the process group (SIGSTOP), or continues it (SIGCONT).
    pub(crate) fn suspend(&self, is_suspended: bool) {
        let signal = if is_suspended { Signal::STOP } else { Signal::CONT };
        // A group that is gone needs no signal.
        let _is_sent = kill_process_group(self.group, signal);
    }

    /// Sends SIGTERM to every process of the group except the shells, so that a shell can report how its server ended.
    /// Returns the names of the processes.
    pub(crate) fn terminate(&self) -> Vec<String> {
        let members: Vec<(u32, String)> = self.members().into_iter().map(|pid| (pid, name_of(pid))).collect();
        let is_shell = |name: &str| SHELLS.contains(&name);
        let servers: Vec<_> = members.iter().filter(|(_, name)| !is_shell(name)).collect();
        let asked = if servers.is_empty() { members.iter().collect() } else { servers };
        for (pid, _) in &asked {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                let _is_sent = kill_process(pid, Signal::TERM);
            }
        }
        asked.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// Waits until no process of the group is left. Returns the names of those that are, when `bound` is over.
    pub(crate) async fn wait_until_gone(&self, bound: Duration) -> Vec<String> {
        let waiting = async {
            while !self.members().is_empty() {
                sleep(CHECK_INTERVAL).await;
            }
        };
        // Either way the members are looked up once more.
        let _is_over = timeout(bound, waiting).await;
        self.members().into_iter().map(name_of).collect()
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

    /// The process ids of the group, without processes that have ended.
    pub(crate) fn members(&self) -> Vec<u32> {
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

/// A command that is to stop a server, such as that of a service manager. It is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct StopCommand(Child);

impl StopCommand {
    /// Starts the command with `sh -c`.
    pub(crate) fn start(command: &str) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(shell.process_group(0).spawn()?))
    }
}

impl Drop for StopCommand {
    fn drop(&mut self) {
        let _is_sent = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _is_reaped = self.0.wait();
    }
}

/// The process group of a process, unless it has ended: the third field after the name in `/proc/PID/stat`. The name is
/// in parentheses and may contain anything. The first field is the state.
fn group_of(pid: u32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    fields.nth(1)?.parse().ok().filter(|_| !has_ended)
}

/// The name of a process; empty if it is gone.
fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_process_but_the_shell_is_told_to_end() {
        let mut server = Spawned::start("sleep 600 & sleep 601; exit 3").unwrap();
        while server.members().len() < 3 {
            sleep(CHECK_INTERVAL).await;
        }
        // The shell's children have their names only after their own exec.
        while server.members().into_iter().map(name_of).filter(|name| name == "sleep").count() < 2 {
            sleep(CHECK_INTERVAL).await;
        }
        assert_eq!(server.terminate(), ["sleep", "sleep"]);
        let status = server.wait_for_exit(START).await.unwrap();
        assert_eq!(describe(status), "status 3");
        assert!(server.wait_until_gone(START).await.is_empty());
    }

    #[tokio::test]
    async fn a_process_that_outlives_the_first_one_is_named() {
        let mut server = Spawned::start("sleep 600 & exit 0").unwrap();
        server.wait_for_exit(START).await.unwrap();
        assert_eq!(server.wait_until_gone(CHECK_INTERVAL).await.len(), 1);
    }
}
