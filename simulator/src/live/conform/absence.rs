//! A time in which no client is connected: a server whose timer stops with the last client, or starts with the first,
//! leaves its grid (G7, G3).

use std::time::Duration;

use carillon_server::Timestamp;

use super::bare_client::{BareClient, Event};
use super::session::Session;
use crate::live::clock::pulse::Arrival;
use crate::live::run_state::SocketOptions;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::Received;

/// The number of due instants without a client.
const EMPTY_CYCLES: u64 = 2;

/// The phase at which the first clients return: it differs from the phase of every lawful push.
const RETURN: f64 = 0.7;

/// The number of clients that return.
const RETURNING: usize = 3;

/// The number of periods without a push after which none will come.
const PATIENT_PERIODS: f64 = 2.5;

/// Waits until no client was connected for two due instants, and until the phase at which clients return.
pub(super) async fn wait(session: &Session) {
    if !is_tried(session) {
        return;
    }
    let now = session.state.now();
    let newest = session.state.judge.borrow().grid.newest(now);
    session.wait(newest + EMPTY_CYCLES, RETURN).await;
}

fn is_tried(session: &Session) -> bool {
    session.tries(Guarantee::G7) || session.tries(Guarantee::G3)
}

/// Connects clients after the absence, and judges their first pushes. `since` is when the last client had left.
pub(super) async fn watch_return(session: &Session, since: Timestamp) {
    if !is_tried(session) || !has_pushed(session) {
        return;
    }
    let state = &session.state;
    let returned = state.now();
    let mut clients = Vec::new();
    for _ in 0..RETURNING {
        match BareClient::connect_and_fence(state, SocketOptions::default()).await {
            Ok(client) => clients.push(client),
            Err(error) => {
                let detail = format!("client that comes after a time without clients: {error}");
                let now = state.now();
                return state.judge.borrow_mut().violate(Guarantee::G3, Fault::Dropped, now, None, detail);
            }
        }
    }
    let absent = returned.since(since);
    let bound = state.now() + session.period().mul_f64(PATIENT_PERIODS) + state.grace();
    let first = await_pushes(session, &mut clients, bound).await;
    let Some(earliest) = first.iter().flatten().min_by_key(|arrival| arrival.at).copied() else {
        return report_silence(session, absent);
    };
    let missed = first.iter().filter(|arrival| arrival.is_none()).count();
    if missed > 0 {
        let detail = format!(
            "{missed} of {RETURNING} clients that came after {absent:.1?} without clients got no push, and the others did"
        );
        state.judge.borrow_mut().violate(Guarantee::G3, Fault::Lost, earliest.at, None, detail);
    }
    let offsets = match offset(session, earliest) {
        Offset::OnGrid => None,
        Offset::Off(by) => {
            // One push may be off for a reason of its own.
            let bound = state.now() + session.period().mul_f64(PATIENT_PERIODS) + state.grace();
            let second = await_pushes(session, &mut clients, bound).await;
            let second = second.into_iter().flatten().min_by_key(|arrival| arrival.at);
            second.is_some_and(|second| offset(session, second) != Offset::OnGrid).then_some(by)
        }
    };
    conclude(session, offsets, (returned, absent), earliest.at);
    for client in clients {
        client.leave().await;
    }
}

/// Whether there is a grid to compare with: some pushes, and no other fault of it.
fn has_pushed(session: &Session) -> bool {
    let judge = session.state.judge.borrow();
    let faults = judge.tally(Guarantee::G7).violations + judge.tally(Guarantee::G4).violations;
    judge.grid.cycles().len() > 2 && faults == 0
}

/// The first push of each client; all of them read at the same time.
async fn await_pushes(
    session: &Session,
    clients: &mut [BareClient],
    bound: Timestamp,
) -> Vec<Option<Arrival>> {
    let mut first = vec![None; clients.len()];
    let mut bound = bound;
    while first.iter().any(Option::is_none) {
        for (client, first) in clients.iter_mut().zip(&mut first).filter(|(_, first)| first.is_none()) {
            let until = client.now() + Duration::from_millis(2);
            if let Some(event) = client.next(until).await
                && is_push(session, &event)
            {
                *first = Some(session.state.pulse.arrival());
                // What one client gets, the others get within half a period.
                bound = bound.min(client.now() + session.period() / 2 + session.state.grace());
            }
        }
        if session.state.now() >= bound {
            break;
        }
    }
    first
}

fn is_push(session: &Session, event: &Event) -> bool {
    let Event::Message { opcode, payload, .. } = event else { return false };
    matches!(session.state.dialect.interpret(*opcode, payload), Ok(Received::Push(_)))
}

/// Where a push lies, compared with those before the absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offset {
    OnGrid,
    /// So much later in the period.
    Off(Duration),
}

fn offset(session: &Session, arrival: Arrival) -> Offset {
    let judge = session.state.judge.borrow();
    let grid = &judge.grid;
    let calm = grid.cycles().iter().filter(|(cycle, _)| !grid.is_excused(**cycle));
    let usual = calm.map(|(cycle, seen)| seen.first.at.since(grid.due(*cycle))).max().unwrap_or_default();
    let due = grid.due(grid.nearest(arrival.at));
    // The best bound for the due instants may be later than these, if every push so far was late.
    let slack = session.period() / 8 + session.state.grace();
    let is_early = arrival.at + slack < due;
    let is_late = arrival.earliest > due + usual + slack;
    let later = if arrival.at >= due {
        arrival.at.since(due)
    } else {
        session.period().saturating_sub(due.since(arrival.at))
    };
    if is_early || is_late { Offset::Off(later) } else { Offset::OnGrid }
}

fn report_silence(session: &Session, absent: Duration) {
    let now = session.state.now();
    let detail = format!(
        "after {absent:.1?} without clients no push came any more within {PATIENT_PERIODS} periods: the timer stopped with \
         the last client"
    );
    session.state.judge.borrow_mut().violate(Guarantee::G3, Fault::Lost, now, None, detail);
}

fn conclude(
    session: &Session,
    off: Option<Duration>,
    (returned, absent): (Timestamp, Duration),
    at: Timestamp,
) {
    let mut judge = session.state.judge.borrow_mut();
    let Some(off) = off else {
        judge.exercise(Guarantee::G7);
        let sentence = format!("after {absent:.1?} without clients the pushes continued on the same grid");
        return judge.add_finding(Guarantee::G7, sentence);
    };
    let phase = judge.grid.due(judge.grid.newest(returned));
    let returned = returned.since(phase);
    let near = session.period() / 10 + session.state.grace();
    let is_restarted = off + near > returned && off < returned + near;
    let cause = if is_restarted {
        "the timer stops when the last client leaves and starts with the next one"
    } else {
        "the timer did not run on while no client was connected"
    };
    let detail = format!("{cause}: pushes now come {off:.1?} later in the period");
    judge.violate(Guarantee::G7, Fault::Late, at, None, detail);
}
