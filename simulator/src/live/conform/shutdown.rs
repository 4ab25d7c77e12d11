//! The end of a trial: the server is stopped for a while, what it left behind is counted, and it is told to shut down
//! (G7, G11, G14, G15).

use std::rc::Rc;
use std::time::Duration;

use carillon_server::{WallTime, Zone};
use chrono::NaiveDateTime;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::spawn_blocking;

use super::error::ConformError;
use super::session::Session;
use crate::live::server::child::{Spawned, describe, is_served};
use crate::live::server::leaks;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::server_log::ServerLog;

/// The stall: from this phase of the last cycle until that phase, two cycles later. The late push of the second missed
/// cycle would then come more than a third of a period late, and so must not come at all.
const STALL: (f64, f64) = (0.56, 2.42);

/// Files that a server may open beside its connections while it runs.
const OWN_FILES: usize = 12;

/// What the process may take on top of the close timeout to end.
const EXIT: Duration = Duration::from_secs(1);

/// Open files of the server before the first client came.
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

/// Runs the end of a trial: the stall, the count of what is left behind, the shutdown, the log.
///
/// # Errors
///
/// Another server in the place of the one that was started.
pub(super) async fn run(
    session: &Rc<Session>,
    mut server: Option<Spawned>,
    files: Files,
    tell: &impl Fn(&str),
) -> Result<(), ConformError> {
    session.wait(session.options.cycles, STALL.0).await;
    server = survivor(session, server).await?;
    if session.tries(Guarantee::G7) && (server.is_some() || session.options.pid.is_some()) {
        tell("the server is stopped for two cycles");
        stall(session, server.as_ref()).await;
    }
    count_leftovers(session, &files).await;
    if session.tries(Guarantee::G14) && server.is_some() {
        // When no push is due or under way: one that comes then is one too many.
        session.wait_for_phase(STALL.0).await;
        server = survivor(session, server).await?;
        if let Some(server) = &mut server {
            tell("the server is told to shut down");
            drain(session, server).await;
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

/// The server, unless it has ended by itself: then its clients have lost it, or another server has been serving them.
async fn survivor(session: &Session, server: Option<Spawned>) -> Result<Option<Spawned>, ConformError> {
    let Some(mut server) = server else { return Ok(None) };
    let Some(sentence) = server.has_ended() else { return Ok(Some(server)) };
    let socket = session.state.socket;
    if is_served(socket).await {
        let sentence = format!("somebody else answers on {socket} by now, and was taken for it: {sentence}");
        return Err(ConformError::Occupied(sentence));
    }
    let now = session.state.now();
    session.state.judge.borrow_mut().violate(Guarantee::G3, Fault::Dropped, now, None, sentence);
    Ok(None)
}

/// Stops the server over two due instants (SIGSTOP), and watches two cycles more.
async fn stall(session: &Session, server: Option<&Spawned>) {
    let last = session.options.cycles;
    let started = session.state.now();
    let suspend = |is_suspended: bool| match server {
        Some(server) => server.suspend(is_suspended),
        None => signal(session.options.pid, is_suspended),
    };
    // Noted before it happens: a client that reads a late push must find the excuse.
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
        judge.find(
            Guarantee::G7,
            format!("after {stalled:.1?} at a stop the server did not make up for what it missed"),
        );
    }
}

fn signal(pid: Option<u32>, is_suspended: bool) {
    let signal = if is_suspended { Signal::STOP } else { Signal::CONT };
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // A process that is gone shows in its connections.
        let _is_sent = kill_process(pid, signal);
    }
}

/// Whether the server still holds what its clients have left.
async fn count_leftovers(session: &Session, files: &Files) {
    if !session.tries(Guarantee::G11) {
        return;
    }
    let bound = session.state.now() + session.options.close_timeout + session.state.patience;
    let server = session.state.socket;
    let mut forgotten = beside(move || leaks::forgotten_sockets(server)).await;
    while forgotten.is_some_and(|count| count > 0) && session.state.now() < bound {
        session.state.pulse.sleep(session.period() / 2).await;
        forgotten = beside(move || leaks::forgotten_sockets(server)).await;
    }
    let connected = beside(move || leaks::connected_sockets(server)).await;
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    match forgotten {
        None => {}
        Some(0) => {
            judge.exercise(Guarantee::G11);
            judge.find(
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
            judge.find(
                Guarantee::G11,
                format!("{after} open files with {connected} connections, {before} at the start"),
            );
        }
    }
}

/// Runs it on another thread: on a machine with many sockets the system's tables take their time.
async fn beside<T: Send + 'static>(look: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    spawn_blocking(look).await.ok().flatten()
}

/// Sends SIGTERM, and sees the process through its end.
async fn drain(session: &Session, server: &mut Spawned) {
    let asked = session.state.now();
    session.state.judge.borrow_mut().drained_at = Some(asked);
    server.terminate();
    let bound = session.options.close_timeout + EXIT + session.state.patience;
    let status = server.ended(bound).await;
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
            judge.find(
                Guarantee::G14,
                format!("the process ended with {} after {took:.1?}", describe(status)),
            );
        }
    }
}

/// The log, as the reference server words it.
fn read_log(session: &Session, lines: &[String]) {
    let mut log = ServerLog::default();
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    let mut known = 0;
    for line in lines {
        let line = line.as_str();
        // The instant is held against itself: what counts here is that it is one.
        let wall = stamp(line).unwrap_or_default();
        match log.read(line, wall, &Zone::UTC) {
            Ok(is_known) => known += u64::from(is_known),
            Err(detail) => return judge.violate(Guarantee::G15, Fault::WrongLog, now, None, detail),
        }
    }
    if log.received == 0 || known == log.received {
        let detail = format!("of {} lines none tells of connections and messages as G15 has it", lines.len());
        return judge.violate(Guarantee::G15, Fault::WrongLog, now, None, detail);
    }
    match log.finish() {
        Ok(()) => judge.exercise(Guarantee::G15),
        Err(detail) => judge.violate(Guarantee::G15, Fault::WrongLog, now, None, detail),
    }
}

/// The instant at the beginning of a line.
fn stamp(line: &str) -> Option<WallTime> {
    let (text, _) = line.strip_prefix('[')?.split_once(']')?;
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
    Some(WallTime::from_unix_seconds(time.and_utc().timestamp()))
}
