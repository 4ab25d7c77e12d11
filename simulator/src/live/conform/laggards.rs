//! Clients that lag behind more than the sockets hold, and then read again: a server may end such a connection, but on
//! one that it keeps nothing may be missing (G3, G8, G10).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;

use super::bare_client::{BareClient, Event};
use super::session::Session;
use crate::live::run_state::SocketOptions;
use crate::network::link::End;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::Received;
use crate::wire::text::Text;

/// The receive buffer of a laggard, in bytes.
const WINDOW: u32 = 4096;

/// The lengths of its texts in bytes, in turn, and the most that it sends.
const LENGTHS: [u32; 3] = [1 << 10, 16 << 10, 5000];
const MOST: usize = 8 << 20;

/// After so many bytes it waits, in which time the server serves others.
const PORTION: usize = 64 << 10;
const PAUSE: Duration = Duration::from_millis(6);

/// If the sockets accept nothing for this time, the way is full.
const FULL_TIME: Duration = Duration::from_millis(400);

/// The number of due instants over which it does not read.
const CYCLES: u64 = 2;

/// The phases of a cycle at which it stops and starts to read: no push is in flight.
const STOP: f64 = 0.62;
const START: f64 = 0.5;

pub(super) fn start(session: &Rc<Session>) {
    if [Guarantee::G3, Guarantee::G8, Guarantee::G10].into_iter().any(|guarantee| session.tries(guarantee)) {
        session.start(lag(Rc::clone(session), "laggard that only stops reading", 0));
        session.start(lag(Rc::clone(session), "laggard that stops reading and goes on sending", MOST));
    }
}

/// What a laggard read after its pause.
#[derive(Debug, Default)]
struct Outcome {
    pushes: u64,
    /// The number of echoes, and what was wrong with the first wrong one.
    echoes: usize,
    wrong_echo: Option<String>,
    /// How the server ended the connection.
    ending: Option<(End, Option<Option<u16>>)>,
    garbled: Option<Cow<'static, str>>,
}

/// Stops reading after a push, sends up to `most` bytes of texts, and reads all of it two cycles later.
async fn lag(session: Rc<Session>, role: &'static str, most: usize) {
    let begun = session.options.cycles / 2;
    session.wait(begun - 1, STOP).await;
    let state = &session.state;
    let options = SocketOptions { window: Some(WINDOW), ..SocketOptions::default() };
    let Ok(mut client) = BareClient::connect_and_fence(state, options).await else { return };
    // A client that gets no push even while it reads is not a case of lagging behind.
    let (mut due, mut before) = (VecDeque::new(), Outcome::default());
    let stop = session.instant(begun, STOP);
    while client.now() < stop && before.ending.is_none() {
        let Some(event) = client.next(stop).await else { break };
        read_event(&session, event, &mut due, &mut before);
    }
    if before.pushes == 0 || before.ending.is_some() || before.garbled.is_some() {
        return;
    }
    client.set_reading(false);
    let stopped = client.now();
    let mut due = send_texts(&session, &mut client, most).await;
    let until = session.instant(begun + CYCLES, START);
    // An end cannot be seen without reading; it waits in the stream.
    while client.now() < until && client.next(until).await.is_none() {}
    client.set_reading(true);
    let sent = due.len();
    let mut outcome = Outcome::default();
    read_again(&session, &mut client, &mut due, &mut outcome, stopped).await;
    judge(&session, role, stopped, (sent, due.len()), &outcome);
    if outcome.ending.is_none() {
        client.leave().await;
    }
}

/// Sends texts until the way is full. Returns them; the last one is complete in what waits to be sent.
async fn send_texts(session: &Session, client: &mut BareClient, most: usize) -> VecDeque<Text> {
    let longest = session.options.longest() as u32;
    let (mut texts, mut total, mut portion) = (VecDeque::new(), 0, 0);
    let mut blocked_since = None;
    while total < most {
        if client.has_unsent() {
            let now = client.now();
            if now.since(*blocked_since.get_or_insert(now)) > FULL_TIME {
                break;
            }
        } else {
            blocked_since = None;
            let (number, length) = (client.next_number(), LENGTHS[texts.len() % LENGTHS.len()].min(longest));
            let text = Text::Probe { number, length };
            client.say(text);
            texts.push_back(text);
            total += length as usize;
            portion += length as usize;
            if portion < PORTION {
                continue;
            }
            portion = 0;
        }
        if client.next(client.now() + PAUSE).await.is_some() {
            break;
        }
    }
    texts
}

/// Reads until every echo has come, and every push that fell due in the meantime had time to come.
async fn read_again(
    session: &Session,
    client: &mut BareClient,
    due: &mut VecDeque<Text>,
    outcome: &mut Outcome,
    stopped: Timestamp,
) {
    let state = &session.state;
    let fence = Text::Fence(client.next_number());
    client.say(fence);
    due.push_back(fence);
    while !due.is_empty() {
        match client.next_in_time().await {
            None => break,
            Some(event) => {
                let left = due.len();
                read_event(session, event, due, outcome);
                if due.len() < left {
                    client.note_progress();
                }
            }
        }
        if outcome.ending.is_some() || outcome.garbled.is_some() {
            return;
        }
    }
    // The server may order pushes and echoes as it likes. The echoes had all the time that they needed.
    let (owed, _) = pushes_due(session, stopped, client.now());
    let bound = client.now() + session.period() / 2 + state.grace();
    while outcome.pushes < owed && outcome.ending.is_none() && outcome.garbled.is_none() {
        let Some(event) = client.next(bound).await else { return };
        read_event(session, event, due, outcome);
    }
}

fn read_event(session: &Session, event: Event, due: &mut VecDeque<Text>, outcome: &mut Outcome) {
    let (opcode, payload) = match event {
        Event::Message { opcode, payload, .. } => (opcode, payload),
        Event::Garbled(cause) => return outcome.garbled = Some(cause),
        Event::End(end) => {
            let code = outcome.ending.and_then(|(_, code)| code);
            return outcome.ending = Some((end, code));
        }
    };
    match session.state.dialect.interpret(opcode, &payload) {
        Ok(Received::Push(_)) => outcome.pushes += 1,
        Ok(Received::Close(code)) => outcome.ending = Some((End::Finished, Some(code))),
        Ok(Received::Echo(echo)) => {
            let Some(expected) = due.pop_front() else { return };
            outcome.echoes += 1;
            if !expected.is(echo) && outcome.wrong_echo.is_none() {
                let shown: String = String::from_utf8_lossy(echo).chars().take(24).collect();
                outcome.wrong_echo = Some(format!("in the place of the echo of {expected} came {shown:?}"));
            }
        }
        Ok(_) => {}
        Err(garbled) => outcome.garbled = Some(garbled.0),
    }
}

/// How many pushes must have come between two instants, and how many may have come: the cycles that fell due, without
/// those that a stop of the server excuses, and without those that no client got.
fn pushes_due(session: &Session, from: Timestamp, until: Timestamp) -> (u64, u64) {
    let judge = session.state.judge.borrow();
    let grid = &judge.grid;
    let half = session.period() / 2 + session.state.grace();
    let (first, last) = (grid.newest(from) + 1, grid.newest(until));
    let is_sure = |cycle: &u64| {
        !grid.is_excused(*cycle) && grid.cycles().contains_key(cycle) && grid.due(*cycle) + half <= until
    };
    let owed = (first..=last).filter(is_sure).count();
    // The next cycle's true due instant may be a bit earlier than the best bound for it.
    (owed as u64, (last + 2).saturating_sub(first))
}

fn judge(
    session: &Session,
    role: &str,
    stopped: Timestamp,
    (sent, missing): (usize, usize),
    outcome: &Outcome,
) {
    let now = session.state.now();
    let lagged = now.since(stopped);
    let mut judge = session.state.judge.borrow_mut();
    if judge.drained_at.is_some() {
        return;
    }
    if let Some(cause) = &outcome.garbled {
        let detail = format!("{role}: {cause}, after {lagged:.1?}");
        return judge.violate(Guarantee::G5, Fault::Garbled, now, None, detail);
    }
    if let Some((end, code)) = outcome.ending {
        let how = match (end, code) {
            (_, Some(Some(code))) => format!("with a Close of {code}"),
            (_, Some(None)) => "with a Close without a code".to_owned(),
            (End::Finished, None) => "without a Close".to_owned(),
            (End::Reset, None) => "with a reset".to_owned(),
        };
        return judge.add_finding(Guarantee::G10, format!("{role}: the server ended the connection {how}"));
    }
    if let Some(wrong) = &outcome.wrong_echo {
        let detail = format!("{role}: {wrong}, on a connection that the server kept");
        judge.violate(Guarantee::G8, Fault::Lost, now, None, detail);
    } else if missing > 0 {
        let all = sent + 1;
        let detail = format!(
            "{role}: {missing} of {all} echoes did not come when the client read again, on a connection that the server kept"
        );
        judge.violate(Guarantee::G8, Fault::Lost, now, None, detail);
    } else {
        judge.exercise(Guarantee::G8);
    }
    drop(judge);
    judge_pushes(session, role, stopped, outcome);
}

fn judge_pushes(session: &Session, role: &str, stopped: Timestamp, outcome: &Outcome) {
    let now = session.state.now();
    let (owed, most) = pushes_due(session, stopped, now);
    let pushes = outcome.pushes;
    let mut judge = session.state.judge.borrow_mut();
    let is_stopped = judge.grid.stalled_until(stopped).is_some();
    if pushes < owed {
        let detail = format!(
            "{role}: {pushes} of the {owed} pushes that fell due meanwhile came when the client read again: the others were \
             silently dropped on a connection that the server kept"
        );
        judge.violate(Guarantee::G3, Fault::Lost, now, None, detail);
    } else if pushes > most && !is_stopped {
        let detail = format!("{role}: {pushes} pushes in a time in which {most} can have fallen due");
        judge.violate(Guarantee::G4, Fault::Duplicated, now, None, detail);
    } else {
        judge.exercise(Guarantee::G3);
        let (echoes, lagged) = (outcome.echoes, now.since(stopped));
        let sentence = format!("{role}: all {pushes} pushes and {echoes} echoes came {lagged:.1?} later");
        judge.add_finding(Guarantee::G10, sentence);
    }
}
