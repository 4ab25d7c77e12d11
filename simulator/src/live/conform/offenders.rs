//! Clients that break rules: each offence on its own connection, while all other clients go on (G12).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use std::vec::IntoIter;

use carillon_server::Timestamp;
use tokio::time::timeout;

use super::breaches::{self, Breach};
use super::session::Session;
use crate::live::client::{LiveClient, with_code};
use crate::live::judge::{Judge, Observation};
use crate::live::run_state::SocketOptions;
use crate::network::link::End;
use crate::oracle::clause::Clause;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::verb::Utterance;
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// Time between two offences, so that their effects on other clients can be distinguished.
const PAUSE: Duration = Duration::from_millis(25);

/// How many offenders connect at a time, if a handshake takes longer than the pauses: a server that handles
/// handshakes one by one must still serve the other clients.
const LANES: u32 = 4;

/// How often each bad request is sent: a file that leaks for each of them is then distinguishable from a file that
/// the server opened for another reason.
const REFUSALS: u32 = 3;

/// The number of bytes of an oversized frame that are sent first. A server that judges by the announced length has
/// then read everything when it ends the connection; otherwise a reset would destroy its Close.
const AHEAD: usize = 512;

/// How long the client waits after these bytes.
const AHEAD_TIME: Duration = Duration::from_millis(150);

pub(super) fn start(session: &Rc<Session>) {
    if session.tries(Guarantee::G12) {
        session.start(offend_all(Rc::clone(session)));
    }
}

async fn offend_all(session: Rc<Session>) {
    session.wait(2, 0.2).await;
    let breaches = Rc::new(RefCell::new(all_breaches(&session).into_iter()));
    for lane in 0..LANES {
        session.start(offend_in_turn(Rc::clone(&session), lane, Rc::clone(&breaches)));
    }
    session.start(send_largest(Rc::clone(&session)));
    for _ in 0..REFUSALS {
        send_bad_requests(&session).await;
    }
}

/// Commits one offence after another, as fast as the server accepts connections.
async fn offend_in_turn(session: Rc<Session>, lane: u32, breaches: Rc<RefCell<IntoIter<Breach>>>) {
    session.state.pulse.sleep(PAUSE * lane).await;
    loop {
        let Some(breach) = breaches.borrow_mut().next() else { return };
        if session.is_over() {
            return;
        }
        let Some(client) = session.connect_and_fence("client that breaks a rule").await else { return };
        let own = Rc::clone(&session);
        if breach.kind == Offence::Oversize {
            session.start(send_oversize(own, client, breach));
        } else {
            session.start(offend(own, client, breach));
        }
        session.state.pulse.sleep(PAUSE * LANES).await;
    }
}

/// All offences. Without a stated limit it is unknown which message is too long: then only one oversized message is
/// sent, and the server may accept it.
fn all_breaches(session: &Session) -> Vec<Breach> {
    let (longest, is_stated) = (session.options.longest(), session.options.max_message.is_some());
    let punished = Offence::ALL.into_iter().filter(|offence| offence.close_code().is_some());
    let known = punished.filter(|offence| is_stated || *offence != Offence::OversizeInFragments);
    let too_many = is_stated.then(|| breaches::too_many_bytes(longest));
    known.map(|offence| Breach::of(offence, longest)).chain(breaches::varieties()).chain(too_many).collect()
}

async fn offend(session: Rc<Session>, mut client: LiveClient, breach: Breach) {
    client.break_rule(breach.kind, &breach.name, &breach.bytes);
    judge(&session, client, &breach).await;
}

/// Waits for the server's reaction to an offence, and judges it.
async fn judge(session: &Session, mut client: LiveClient, breach: &Breach) {
    let state = &session.state;
    client
        .process_until_answered(state.patience, |client| client.end.is_some() || client.close_code.is_some())
        .await;
    if client.close_code.is_some() {
        let patience = session.options.close_timeout + state.patience;
        client.process_until_answered(patience, |client| client.end.is_some()).await;
    }
    let mut score = state.judge.borrow_mut();
    let (now, number, kind) = (client.now(), client.number(), breach.kind);
    let due = kind.close_code().unwrap_or(1002);
    match reaction(kind, client.close_code, client.end) {
        Reaction::Right => score.exercise(Guarantee::G12),
        Reaction::Lax(clause, outcome) => {
            // The server did not take what was wrong, and ended the connection: that is what protects others.
            score.exercise(Guarantee::G12);
            let seen = Observation::of(&breach.name, outcome);
            score.lapse(clause, Fault::WrongClose, now, number, seen);
        }
        Reaction::Wrong(fault, outcome) => {
            let seen = Observation { subject: breach.name.clone(), ..client.with_story(&outcome) };
            score.violate(Guarantee::G12, fault, now, number, seen);
        }
        Reaction::None => {
            let outcome = format!("no consequence within {:.1?}; due was a Close of {due}", state.patience);
            let seen = Observation { subject: breach.name.clone(), ..client.with_story(&outcome) };
            score.violate(Guarantee::G12, Fault::Lost, now, number, seen);
        }
    }
}

/// How a server reacted to an offence.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    Right,
    Lax(Clause, String),
    Wrong(Fault, String),
    None,
}

/// The judgement on a reaction: the code of the server's Close, if there was one, and the end of the stream.
fn reaction(kind: Offence, close: Option<Option<u16>>, end: Option<End>) -> Reaction {
    let due = kind.close_code().unwrap_or(1002);
    let answer = match (close, end) {
        (Some(Some(code)), Some(_)) if code == due => return Reaction::Right,
        (Some(code), None) => {
            let how = with_code(code);
            let outcome = format!("answered with a Close {how}, but the stream never ended");
            return Reaction::Wrong(Fault::Leaked, outcome);
        }
        (None, None) => return Reaction::None,
        (Some(code), _) => format!("answered with a Close {}", with_code(code)),
        (None, Some(End::Finished)) => "ended the stream without a Close".to_owned(),
        (None, Some(End::Reset)) => "answered with a reset, which may have destroyed a Close".to_owned(),
    };
    let outcome = format!("{answer}; due was a Close of {due}");
    match Clause::of_answer(kind, close) {
        Some(clause) => Reaction::Lax(clause, outcome),
        None => Reaction::Wrong(Fault::WrongClose, outcome),
    }
}

/// Sends a message that is too long. If the options state no limit, the server may accept it.
async fn send_oversize(session: Rc<Session>, mut client: LiveClient, breach: Breach) {
    let longest = session.options.longest();
    let (head, rest) = breach.bytes.split_at(AHEAD.min(breach.bytes.len()));
    client.may_be_ended = true;
    client.send_raw(head);
    let limit = client.now() + AHEAD_TIME;
    client.process_until_done(limit, |client| client.close_code.is_some() || client.end.is_some()).await;
    if client.is_open() {
        client.send_raw(rest);
    }
    if session.options.max_message.is_some() {
        client.connection.core.offence = Some(Offence::Oversize);
        return judge(&session, client, &breach).await;
    }
    let received = client.connection.core.received;
    client.connection.is_excluded = true;
    let bound = client.now() + session.state.patience;
    let has_answer = |client: &LiveClient| {
        client.end.is_some()
            || client.close_code.is_some()
            || client.connection.core.received > received + longest as u64
    };
    client.process_until_done(bound, has_answer).await;
    if client.is_open() {
        let sentence =
            format!("a message of {} bytes was taken; state the largest with --max-message", longest + 1);
        session.state.judge.borrow_mut().add_finding(Guarantee::G12, sentence);
    } else {
        judge(&session, client, &breach).await;
    }
}

/// Sends exactly the largest message, which is not an offence.
async fn send_largest(session: Rc<Session>) {
    let Some(largest) = session.options.max_message else { return };
    let Some(mut client) = session.connect_and_fence("sender of the largest message").await else { return };
    let number = client.next_number();
    client.say(&[Utterance::Text(Text::Probe { number, length: largest as u32 })]);
    let is_answered = client.await_replies().await;
    if is_answered {
        session.state.judge.borrow_mut().exercise(Guarantee::G12);
    }
    session.close_and_wait(client).await;
}

/// What it means if a server upgrades a bad request.
#[derive(Clone, Copy)]
enum Degree {
    Violated,
    Lax(Clause),
    Free,
}

/// A bad request: its name, what its upgrade would mean, and the expected statuses.
struct BadRequest {
    name: &'static str,
    degree: Degree,
    statuses: &'static [u16],
    request: String,
}

fn bad_requests(session: &Session) -> Vec<BadRequest> {
    let host = session.state.address.host_field();
    let path = session.state.dialect.path.as_deref().unwrap_or(&session.state.address.target);
    let further: String =
        session.state.dialect.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let compose =
        |line: &str, fields: &str| format!("{line} HTTP/1.1\r\nHost: {host}\r\n{further}{fields}\r\n");
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let all = [upgrade, key, version].concat();
    let get = format!("GET {path}");
    let request = |name, degree, statuses, request| BadRequest { name, degree, statuses, request };
    vec![
        request("a plain GET", Degree::Violated, &[426], compose(&get, "")),
        request(
            "a request without a key",
            Degree::Lax(Clause::RequestHasKey),
            &[400],
            compose(&get, &[upgrade, version].concat()),
        ),
        request(
            "a request of version 8",
            Degree::Lax(Clause::VersionIs13),
            &[426],
            compose(&get, &[upgrade, key, "Sec-WebSocket-Version: 8\r\n"].concat()),
        ),
        request("a POST", Degree::Lax(Clause::MethodIsGet), &[400], compose(&format!("POST {path}"), &all)),
        request("another path", Degree::Free, &[404], compose("GET /no-such-path-here", &all)),
        request("rubbish", Degree::Violated, &[400], "\u{16}\u{3}\u{1} rubbish\r\n\r\n".to_owned()),
    ]
}

async fn send_bad_requests(session: &Session) {
    for bad in bad_requests(session) {
        let status = response_status(session, &bad.request).await;
        let now = session.state.now();
        let mut judge = session.state.judge.borrow_mut();
        match status {
            Some(101) => report_upgrade(&mut judge, &bad, now),
            Some(status) if judge.is_strict && !bad.statuses.contains(&status) => {
                let outcome = format!("answered with {status}; due was {:?}", bad.statuses);
                judge.violate(
                    Guarantee::G12,
                    Fault::WrongClose,
                    now,
                    None,
                    Observation::of(bad.name, outcome),
                );
            }
            Some(_) => judge.exercise(Guarantee::G12),
            None if judge.is_strict => {
                let seen = Observation::of(bad.name, "had no answer".to_owned());
                judge.violate(Guarantee::G12, Fault::Lost, now, None, seen);
            }
            None => {}
        }
    }
}

/// Judges the upgrade of a bad request.
fn report_upgrade(judge: &mut Judge, bad: &BadRequest, now: Timestamp) {
    let seen = Observation::of(bad.name, "was upgraded".to_owned());
    match bad.degree {
        Degree::Violated => judge.violate(Guarantee::G12, Fault::Unexpected, now, None, seen),
        Degree::Lax(clause) => judge.lapse(clause, Fault::Unexpected, now, None, seen),
        Degree::Free if judge.is_strict => judge.violate(Guarantee::G12, Fault::Unexpected, now, None, seen),
        Degree::Free => {
            let sentence = format!("{} was upgraded, which a third-party server may do", bad.name);
            judge.add_finding(Guarantee::G12, sentence);
        }
    }
}

/// The status of the response; `None` if there is no response.
async fn response_status(session: &Session, request: &str) -> Option<u16> {
    let asking = async {
        let mut transport = session.state.open(SocketOptions::default()).await.ok()?;
        transport.write_all(request.as_bytes()).await.ok()?;
        let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
        while !head.windows(2).any(|end| end == b"\r\n") {
            match transport.read(&mut buffer).await.ok()? {
                0 => return None,
                length => head.extend_from_slice(&buffer[..length]),
            }
        }
        let line = String::from_utf8_lossy(&head).into_owned();
        line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
    };
    timeout(session.state.patience, asking).await.ok().flatten()
}
