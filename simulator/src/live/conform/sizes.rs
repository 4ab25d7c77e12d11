//! Ever longer texts, until the server refuses them: if the tester states no limit, the echo of a text over 64 KiB is
//! right as well (G8).

use std::rc::Rc;

use super::bare_client::{BareClient, Event, FINAL};
use super::session::Session;
use crate::live::run_state::SocketOptions;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::units::format_size;
use crate::wire::codec::{Received, opcode};
use crate::wire::text::Text;

/// The lengths of the texts, in bytes.
const LENGTHS: [u32; 6] = [64 << 10, (64 << 10) + 1, 128 << 10, 1 << 20, 4 << 20, 16 << 20];

/// From this length on a text is sent only when no push is due for a while.
const LONG: u32 = 1 << 20;

/// The longest text of one-byte characters, in bytes.
const PLAIN: u32 = 1 << 20;

/// The phase at which long texts are sent.
const CALM: f64 = 0.45;

pub(super) fn start(session: &Rc<Session>) {
    if session.tries(Guarantee::G8) {
        session.start(probe_upwards(Rc::clone(session)));
    }
}

/// Judges an answer. Returns whether it was right.
fn judge(session: &Session, length: u32, answer: Answer) -> bool {
    let size = size_text(length);
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    match answer {
        Answer::Right => {
            judge.exercise(Guarantee::G8);
            return true;
        }
        Answer::Wrong(place, received) => {
            let detail = format!(
                "the echo of a text of {size} differs from byte {place} on; it has {received} bytes behind its prefix"
            );
            judge.violate(Guarantee::G8, Fault::WrongEcho, now, None, detail);
        }
        Answer::Garbled(cause) => {
            let outcome = format!("in the place of the echo of a text of {size} came {cause}");
            judge.violate(Guarantee::G8, Fault::Garbled, now, None, outcome);
        }
        Answer::Refused(how) => {
            judge.add_finding(Guarantee::G8, format!("a text of {size} was refused {how}"));
        }
        Answer::Missing => {
            let detail = format!("a text of {size} got no echo, on a connection that the server kept");
            judge.violate(Guarantee::G8, Fault::Lost, now, None, detail);
        }
        Answer::Unknown => {}
    }
    false
}

/// A length for a sentence.
fn size_text(length: u32) -> String {
    let text = format_size(length as usize);
    if text.ends_with('B') { text } else { format!("{text} bytes") }
}

/// The answer to a text of some length.
enum Answer {
    Right,
    /// The place of the first byte that differs, and how long the echo is.
    Wrong(usize, usize),
    Refused(String),
    /// Something came that no server may send.
    Garbled(String),
    /// Nothing came for as long as a reply may take.
    Missing,
    /// The probe is not possible: the server does not take the connection.
    Unknown,
}

async fn probe_upwards(session: Rc<Session>) {
    let state = &session.state;
    session.wait(1, CALM).await;
    let within = |length: &u32| session.options.max_message.is_none_or(|most| *length as usize <= most);
    let mut largest = None;
    let mut took = 0.0;
    for length in LENGTHS.into_iter().filter(within) {
        // A server that needs long for a long text delays its other clients, and no rule forbids to have no limit.
        let ratio = f64::from(length) / f64::from(largest.unwrap_or(length));
        if length >= LONG && took * ratio > session.period().as_secs_f64() / 3.0 {
            break;
        }
        if length >= LONG {
            session.wait_for_phase(CALM).await;
        }
        if session.is_over() {
            break;
        }
        let begun = state.now();
        let answer = echo_of(&session, &probe(length)).await;
        took = state.now().since(begun).as_secs_f64();
        if !judge(&session, length, answer) {
            break;
        }
        largest = Some(length);
    }
    if let Some(largest) = largest {
        // A server that counts characters takes longer texts of one byte each for longer than those of several.
        let plain = "x".repeat(largest.min(PLAIN) as usize);
        if let Answer::Wrong(place, received) = echo_of(&session, &plain).await {
            let detail = format!(
                "the echo of {} of ASCII differs from byte {place} on; it has {received} bytes behind its prefix",
                size_text(plain.len() as u32)
            );
            let now = state.now();
            state.judge.borrow_mut().violate(Guarantee::G8, Fault::WrongEcho, now, None, detail);
        }
        let sentence = format!("texts of up to {} were echoed byte for byte", size_text(largest));
        state.judge.borrow_mut().add_finding(Guarantee::G8, sentence);
    }
}

/// A text of this length with characters of one to four bytes.
fn probe(length: u32) -> String {
    let mut rendered = String::new();
    Text::Probe { number: length, length }.append_to(&mut rendered);
    rendered
}

/// Sends a text on a connection of its own.
async fn echo_of(session: &Session, text: &str) -> Answer {
    let state = &session.state;
    let Ok(mut client) = BareClient::connect_and_fence(state, SocketOptions::default()).await else {
        return Answer::Unknown;
    };
    client.send(FINAL | opcode::TEXT, text.as_bytes());
    let answer = loop {
        let Some(event) = client.next_in_time().await else { break Answer::Missing };
        let (opcode, payload) = match event {
            Event::Message { opcode, payload, .. } => (opcode, payload),
            Event::End(_) => return ended(session, "by an end of the connection without a Close"),
            Event::Garbled(cause) => return Answer::Garbled(cause.into_owned()),
        };
        match state.dialect.interpret(opcode, &payload) {
            Ok(Received::Echo(echo)) if text.as_bytes() == echo => break Answer::Right,
            Ok(Received::Echo(echo)) => break difference(text, echo),
            Ok(Received::Close(Some(code))) => return ended(session, &format!("with a Close of {code}")),
            Ok(Received::Close(None)) => return ended(session, "with a Close without a code"),
            Ok(_) => {}
            Err(garbled) => break Answer::Garbled(garbled.0.into_owned()),
        }
    };
    client.leave().await;
    answer
}

/// The server ended the connection. If it is shutting down, that is no answer.
fn ended(session: &Session, how: &str) -> Answer {
    let is_draining = session.state.judge.borrow().drained_at.is_some();
    if is_draining { Answer::Unknown } else { Answer::Refused(how.to_owned()) }
}

fn difference(text: &str, echo: &[u8]) -> Answer {
    let common = text.bytes().zip(echo).take_while(|(sent, received)| sent == *received).count();
    Answer::Wrong(common, echo.len())
}
