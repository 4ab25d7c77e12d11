//! The end of a trial: the server is stopped for a while, leaked sockets are counted, and the server is told to
//! shut down (G7, G11, G14, G15).

use std::rc::Rc;
use std::time::Duration;

use carillon_server::{WallTime, Zone};
use chrono::NaiveDateTime;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::spawn_blocking;

use super::error::ConformError;
use super::session::Session;
use crate::live::server::child::{Spawned, accepts_connections, describe};
use crate::live::server::leaks;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::server_log::ServerLog;

/// The stall: from the first phase of the last cycle to the second phase, counted from that cycle. The late push of
/// the second missed cycle would then be more than a third of a period late, and so must not be sent.
const STALL: (f64, f64) = (0.56, 2.42);

/// How many files a server may open while it runs, beside its connections.
const OWN_FILES: usize = 12;

/// How long the process may take to end, in addition to the close timeout.
const EXIT: Duration = Duration::from_secs(1);

/// The number of open files of the server before the first client connected.
pub(super) struct Files {
    pid: Option<u32>,
    before: Option<usize>,
}

impl Files {
    pub(super) fn before(session: &Session, server: Option<&Spawned>) -> Self {
        let pid = server.map(Spawned::pid).or(session.options.pid);
        Self { pid, before: pid.and_then(leaks::open_files) }
    }
}

/// Runs the end of a trial: the stall, the count of leaked sockets, the shutdown, the log.
///
/// # Errors
///
/// Another server answers in the place of the one that was started.
pub(super) async fn run(
    session: &Rc<Session>,
    mut server: Option<Spawned>,
    files: Files,
    on_step: &impl Fn(&str),
) -> Result<(), ConformError> {
    session.wait(session.options.cycles, STALL.0).await;
    server = running_server(session, server).await?;
    if session.tries(Guarantee::G7) && (server.is_some() || session.options.pid.is_some()) {
        on_step("the server is stopped for two cycles");
        stall(session, server.as_ref()).await;
    }
    count_leftovers(session, &files).await;
    if session.tries(Guarantee::G14) && server.is_some() {
        // At this phase no push is due or in flight, so a push that arrives then is wrong.
        session.wait_for_phase(STALL.0).await;
        server = running_server(session, server).await?;
        if let Some(server) = &mut server {
            on_step("the server is told to shut down");
            shut_down(session, server).await;
        }
    }
    session.end();
    session.finish().await;
    if let Some(server) = &server
        && session.tries(Guarantee::G15)
        && session.options.is_strict
    {
        read_log(session, &server.log());
    }
    Ok(())
}

/// The server, unless it has ended by itself: then its clients have lost it, or another server has been serving
/// them.
async fn running_server(session: &Session, server: Option<Spawned>) -> Result<Option<Spawned>, ConformError> {
    let Some(mut server) = server else { return Ok(None) };
    let Some(sentence) = server.exit_sentence() else { return Ok(Some(server)) };
    let socket = session.state.socket;
    if accepts_connections(socket).await {
        let sentence = format!("another server answers on {socket} in its place: {sentence}");
        return Err(ConformError::Occupied(sentence));
    }
    let now = session.state.now();
    session.state.judge.borrow_mut().violate(Guarantee::G3, Fault::Dropped, now, None, sentence);
    Ok(None)
}

/// Stops the server over two due instants (SIGSTOP), and watches two more cycles.
async fn stall(session: &Session, server: Option<&Spawned>) {
    let last = session.options.cycles;
    let started = session.state.now();
    let suspend = |is_suspended: bool| match server {
        Some(server) => server.suspend(is_suspended),
        None => signal(session.options.pid, is_suspended),
    };
    // Noted beforehand: the excuse must exist when a client reads a late push.
    let planned = session.instant(last, STALL.1);
    session.state.judge.borrow_mut().grid.stall(started, planned);
    suspend(true);
    session.state.pulse.sleep_until(planned).await;
    suspend(false);
    session.state.judge.borrow_mut().grid.stall(planned, session.state.now());
    let before = session.state.judge.borrow().tally(Guarantee::G7).violations;
    session.wait(last + 4, 0.6).await;
    let mut judge = session.state.judge.borrow_mut();
    if judge.tally(Guarantee::G7).violations == before {
        judge.exercise(Guarantee::G7);
        let stalled = planned.since(started);
        judge.add_finding(
            Guarantee::G7,
            format!("after {stalled:.1?} at a stop the server did not make up for what it missed"),
        );
    }
}

fn signal(pid: Option<u32>, is_suspended: bool) {
    let signal = if is_suspended { Signal::STOP } else { Signal::CONT };
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // If the process is gone, its connections show it.
        let _is_sent = kill_process(pid, signal);
    }
}

/// Checks whether the server still holds sockets that its clients have left.
async fn count_leftovers(session: &Session, files: &Files) {
    if !session.tries(Guarantee::G11) {
        return;
    }
    let bound = session.state.now() + session.options.close_timeout + session.state.patience;
    let server = session.state.socket;
    let mut forgotten = on_another_thread(move || leaks::forgotten_sockets(server)).await;
    while forgotten.is_some_and(|count| count > 0) && session.state.now() < bound {
        session.state.pulse.sleep(session.period() / 2).await;
        forgotten = on_another_thread(move || leaks::forgotten_sockets(server)).await;
    }
    let connected = on_another_thread(move || leaks::connected_sockets(server)).await;
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    match forgotten {
        None => {}
        Some(0) => {
            judge.exercise(Guarantee::G11);
            judge.add_finding(
                Guarantee::G11,
                "every socket that a client has left is closed by the server".to_owned(),
            );
        }
        Some(count) => {
            let detail = format!("{count} sockets that their clients have left are not closed by the server");
            judge.violate(Guarantee::G11, Fault::Leaked, now, None, detail);
        }
    }
    if let (Some(before), Some(after), Some(connected)) =
        (files.before, files.pid.and_then(leaks::open_files), connected)
    {
        let extra = after.saturating_sub(before + connected);
        if extra > OWN_FILES {
            let detail = format!(
                "{after} open files with {connected} connections; before the first there were {before}"
            );
            judge.violate(Guarantee::G11, Fault::Leaked, now, None, detail);
        } else {
            judge.add_finding(
                Guarantee::G11,
                format!("{after} open files with {connected} connections, {before} at the start"),
            );
        }
    }
}

/// Runs `look` on another thread: on a machine with many sockets the system's tables are slow to read.
async fn on_another_thread<T: Send + 'static>(
    look: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    spawn_blocking(look).await.ok().flatten()
}

/// Sends SIGTERM, and waits for the end of the process.
async fn shut_down(session: &Session, server: &mut Spawned) {
    let asked = session.state.now();
    session.state.judge.borrow_mut().drained_at = Some(asked);
    server.terminate();
    let bound = session.options.close_timeout + EXIT + session.state.patience;
    let status = server.wait_for_exit(bound).await;
    let now = session.state.now();
    let took = now.since(asked);
    let mut judge = session.state.judge.borrow_mut();
    match status {
        None => {
            let detail = format!("{took:.1?} after SIGTERM the process is still there");
            judge.violate(Guarantee::G14, Fault::Leaked, now, None, detail);
        }
        Some(status) if !status.success() && judge.is_strict => {
            let detail = format!("the process ended with {}; due was status 0", describe(status));
            judge.violate(Guarantee::G14, Fault::WrongClose, now, None, detail);
        }
        Some(status) => {
            judge.add_finding(
                Guarantee::G14,
                format!("the process ended with {} after {took:.1?}", describe(status)),
            );
        }
    }
}

/// Judges the log in the format of the reference server.
fn read_log(session: &Session, lines: &[String]) {
    let mut log = ServerLog::default();
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    let mut known = 0;
    for line in lines {
        let line = line.as_str();
        // The instant is compared with itself: only its form counts here.
        let wall = stamp(line).unwrap_or_default();
        match log.read(line, wall, &Zone::UTC) {
            Ok(is_known) => known += u64::from(is_known),
            Err(detail) => return judge.violate(Guarantee::G15, Fault::WrongLog, now, None, detail),
        }
    }
    if log.received == 0 || known == log.received {
        let detail =
            format!("none of {} lines reports connections and messages in the form of G15", lines.len());
        return judge.violate(Guarantee::G15, Fault::WrongLog, now, None, detail);
    }
    match log.finish() {
        Ok(()) => judge.exercise(Guarantee::G15),
        Err(detail) => judge.violate(Guarantee::G15, Fault::WrongLog, now, None, detail),
    }
}

/// The instant at the beginning of a line, if there is one.
fn stamp(line: &str) -> Option<WallTime> {
    let (text, _) = line.strip_prefix('[')?.split_once(']')?;
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
    Some(WallTime::from_unix_seconds(time.and_utc().timestamp()))
}
