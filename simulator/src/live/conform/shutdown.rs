//! The shutdown of the server: every client gets a Close, and the process ends (G14); then its log is read (G15).

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::{Timestamp, WallTime, Zone};
use chrono::NaiveDateTime;
use rustix::process::Signal;

use super::listeners::connect_subscribed;
use super::session::Session;
use crate::live::client::LiveClient;
use crate::live::server::child::{Spawned, StopCommand, describe};
use crate::network::link::End;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::server_log::ServerLog;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// The phase of the signal: no push is due or in flight, so a push that arrives then is wrong.
pub(super) const CALM: f64 = 0.56;

/// How long the process may take to end, in addition to the close timeout.
const EXIT: Duration = Duration::from_secs(1);

/// The receive buffer of the client that reads slowly, in bytes, and how long after the signal it reads on.
const SMALL_WINDOW: u32 = 4096;
const SLOWNESS: Duration = Duration::from_millis(300);

/// The lengths of texts, in bytes: for the client that has just sent some, and for the one that reads slowly.
const SHORT: u32 = 300;
const LONG: u32 = 30_000;

/// The clients that are connected at the shutdown.
struct Group {
    /// They read: each must get its Close.
    prompt: Vec<LiveClient>,
    /// It has just sent texts when the signal comes. It is one of those that read.
    talker: Option<LiveClient>,
    /// It reads only some time after the signal.
    slow: Option<LiveClient>,
}

impl Group {
    /// Reads what comes until an instant: a push that waits unread would seem to be one after the signal.
    async fn read_until(&mut self, until: Timestamp) {
        let reading =
            self.prompt.iter_mut().chain(&mut self.talker).map(|client| client.process_until(until));
        futures::future::join_all(reading).await;
    }
}

/// Connects the clients, tells the server to shut down, and waits for its end.
pub(super) async fn run(session: &Rc<Session>, server: &mut Spawned) {
    let mut group = gather(session).await;
    group.read_until(session.next_at_phase(CALM)).await;
    let asked = session.state.now();
    let bound = asked + session.options.close_timeout + EXIT + session.state.patience;
    dismiss(session, group, bound);
    let stopping = tell(session, server, asked);
    await_exit(session, server, asked).await;
    drop(stopping);
}

async fn gather(session: &Session) -> Group {
    let mut prompt = Vec::new();
    prompt.extend(connect_subscribed(session, "subscribed client at the shutdown").await);
    if let Some(mut client) = connect_subscribed(session, "unsubscribed client at the shutdown").await {
        client.command(&[Text::Unsubscribe]).await;
        prompt.push(client);
    }
    let talker = connect_subscribed(session, "client that sends texts at the shutdown").await;
    let role = "client that reads slowly at the shutdown";
    let mut slow = LiveClient::connect_with_window(&session.state, role, SMALL_WINDOW).await.ok();
    if let Some(client) = &mut slow {
        client.fence().await;
        client.exclude();
        client.set_reading(false);
        say_probes(client, 3, LONG.min(session.options.longest() as u32));
        client.connection.core.forget_echoes();
    }
    Group { prompt, talker, slow }
}

fn say_probes(client: &mut LiveClient, count: u32, length: u32) {
    let mut probe = || Utterance::Text(Text::Probe { number: client.next_number(), length });
    let texts: Vec<Utterance> = (0..count).map(|_| probe()).collect();
    client.say(&texts);
}

/// Lets every client of the group wait for its end.
fn dismiss(session: &Rc<Session>, group: Group, bound: Timestamp) {
    let Group { mut prompt, talker, slow } = group;
    if let Some(mut client) = talker {
        say_probes(&mut client, 3, SHORT);
        prompt.push(client);
    }
    for mut client in prompt {
        session.start(async move { client.process_until(bound).await });
    }
    if let Some(client) = slow {
        session.start(read_slowly(Rc::clone(session), client, bound));
    }
}

/// Reads on only some time after the signal. What the server can do about such a client depends on the system, so a
/// missing Close is no violation.
async fn read_slowly(session: Rc<Session>, mut client: LiveClient, bound: Timestamp) {
    client.process_until(client.now() + SLOWNESS).await;
    client.set_reading(true);
    client.process_until(bound).await;
    let mut judge = session.state.judge.borrow_mut();
    let sentence = match (client.close_code, client.end) {
        (Some(Some(1001)), _) => return judge.exercise(Guarantee::G14),
        (Some(Some(code)), _) => format!("a Close of {code}"),
        (Some(None), _) => "a Close without a code".to_owned(),
        (None, Some(End::Finished)) => "the end of the stream without a Close".to_owned(),
        (None, Some(End::Reset)) => "a reset".to_owned(),
        (None, None) => "no end".to_owned(),
    };
    judge.add_finding(Guarantee::G14, format!("{}: it got {sentence}", client.connection.role));
}

/// Tells the server to shut down: by the stop command, or by SIGTERM. The command goes on until the value is dropped.
fn tell(session: &Session, server: &Spawned, asked: Timestamp) -> Option<StopCommand> {
    let mut judge = session.state.judge.borrow_mut();
    judge.drained_at = Some(asked);
    let Some(command) = &session.options.stop_command else {
        let names = server.terminate();
        if names.len() > 1 {
            let sentence = format!(
                "SIGTERM went to {} processes: {}; a proxy that ends before its server hides the server's Close: use \
                 --stop-command",
                names.len(),
                names.join(", ")
            );
            judge.add_finding(Guarantee::G14, sentence);
        }
        return None;
    };
    let started = StopCommand::start(command);
    if let Err(error) = &started {
        judge.add_doubt(Guarantee::G14, format!("the stop command {command:?} cannot be started: {error}"));
    }
    started.ok()
}

/// Waits for the end of the process, and judges how it ended.
async fn await_exit(session: &Session, server: &mut Spawned, asked: Timestamp) {
    let bound = session.options.close_timeout + EXIT + session.state.patience;
    let (how, has_command) = match &session.options.stop_command {
        Some(_) => ("the stop command", true),
        None => ("SIGTERM", false),
    };
    let status = server.wait_for_exit(bound).await;
    let left = if has_command && status.is_some() { server.wait_until_gone(EXIT).await } else { Vec::new() };
    let now = session.state.now();
    let took = now.since(asked);
    let mut judge = session.state.judge.borrow_mut();
    match status {
        None => {
            let detail = format!("{took:.1?} after {how} the process is still there");
            judge.violate(Guarantee::G14, Fault::Leaked, now, None, detail);
        }
        Some(status) if !status.success() && (judge.is_strict || !is_of_signal(status)) => {
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
    if !left.is_empty() {
        let detail = format!("{took:.1?} after {how} processes are still there: {}", left.join(", "));
        judge.violate(Guarantee::G14, Fault::Leaked, now, None, detail);
    }
}

/// Whether the process ended because of the signal, as it does without a handler, and shells report it.
fn is_of_signal(status: ExitStatus) -> bool {
    const SHELL: i32 = 128;
    let signals = [Signal::TERM, Signal::INT].map(Signal::as_raw);
    signals.into_iter().any(|signal| status.signal() == Some(signal) || status.code() == Some(SHELL + signal))
}

/// Judges the log in the format of the reference server.
pub(super) fn read_log(session: &Session, lines: &[String]) {
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
