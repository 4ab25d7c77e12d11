//! Clients that are silent for long: a server must find out the dead ones, and leave the silent ones alone (G13).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::bare_client::{BareClient, Event};
use super::session::Session;
use crate::live::run_state::SocketOptions;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::opcode;
use crate::wire::text::Text;

/// How often a silent client checks whether the trial is over.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A client at the original app's period is silent for this time, and a bit more.
const USUAL_SILENCE: Duration = Duration::from_secs(300);

/// The sentence about what the trial hides suggests this time.
const SUGGESTED: &str = "6m";

pub(super) fn start(session: &Rc<Session>) {
    if session.tries(Guarantee::G13) {
        session.start(stay_idle(Rc::clone(session)));
    }
}

/// One client only listens, the other one is unsubscribed as well.
async fn stay_idle(session: Rc<Session>) {
    let longest = Cell::new(Duration::ZERO);
    tokio::join!(
        be_silent(&session, "client that only listens", false, &longest),
        be_silent(&session, "client that is unsubscribed and silent", true, &longest),
    );
    let (longest, speed) = (longest.get(), session.options.speed);
    if longest * speed >= USUAL_SILENCE || longest.is_zero() {
        return;
    }
    let sentence = format!(
        "no client was silent for longer than {:.0} s; an inactivity timeout beyond that would end every client at a \
         period of five minutes: try --idle {SUGGESTED}",
        longest.as_secs_f64()
    );
    session.state.judge.borrow_mut().add_finding(Guarantee::G13, sentence);
}

/// Sends nothing but the answers to pings, for the stated time or until the trial is over. `longest` becomes the longest
/// silence that the server bore.
async fn be_silent(session: &Session, role: &str, is_unsubscribed: bool, longest: &Cell<Duration>) {
    let state = &session.state;
    let Ok(mut client) = BareClient::connect_and_fence(state, SocketOptions::default()).await else { return };
    if is_unsubscribed {
        client.say(Text::Unsubscribe);
        if !client.fence().await {
            return;
        }
    }
    let started = client.now();
    let mut silent_since = client.sent_at;
    while !session.is_over() || session.options.idle.is_some_and(|idle| client.now().since(started) < idle) {
        let event = client.next(client.now() + CHECK_INTERVAL).await;
        let silence = client.now().since(silent_since);
        let ending = match event {
            Some(Event::End(_)) => "without a Close".to_owned(),
            Some(Event::Message { opcode: opcode::CLOSE, payload, .. }) => {
                let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                code.map_or("with a Close without a code".to_owned(), |code| {
                    format!("with a Close of {code}")
                })
            }
            _ => {
                if client.sent_at > silent_since {
                    longest.set(longest.get().max(client.sent_at.since(silent_since)));
                    silent_since = client.sent_at;
                }
                continue;
            }
        };
        return report_cut(session, role, &ending, silence).await;
    }
    longest.set(longest.get().max(client.now().since(silent_since)));
    state.judge.borrow_mut().exercise(Guarantee::G13);
    client.leave().await;
}

/// Reports that the server has ended a silent connection, unless the server itself is gone.
async fn report_cut(session: &Session, role: &str, ending: &str, silence: Duration) {
    let state = &session.state;
    let at = state.now();
    let is_there = BareClient::connect_and_fence(state, SocketOptions::default()).await.is_ok();
    let mut judge = state.judge.borrow_mut();
    if !is_there || judge.drained_at.is_some() {
        return;
    }
    let detail = format!(
        "{role}: the server ended the connection {ending}, {silence:.1?} after the client's last byte"
    );
    judge.violate(Guarantee::G13, Fault::Dropped, at, None, detail);
}
