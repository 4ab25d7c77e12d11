//! How a client of the live arm reads and interprets what the server sends.

use std::io::ErrorKind;
use std::rc::Rc;

use carillon_server::Timestamp;
use carillon_server::protocol::{Command, SUBSCRIBE, UNSUBSCRIBE};

use super::live_client::{LiveClient, STORY};
use super::shown::{shown, with_code};
use crate::live::clock::pulse::Arrival;
use crate::live::judge::{ATTRIBUTION_TIME, Ended, Ending, Observation, seconds};
use crate::network::link::End;
use crate::oracle::checker::frames::guarantee_of_garbled;
use crate::oracle::clause::Clause;
use crate::oracle::connection::{Message, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::sighting::Sighting;
use crate::wire::codec::{Frame, Garbled, Received, opcode};

impl LiveClient {
    pub(super) fn read(&mut self) {
        self.read_some(usize::MAX);
    }

    /// Reads what has arrived, at most `most` bytes.
    pub(super) fn read_some(&mut self, most: usize) {
        let mut buffer = self.state.borrow_buffer();
        let most = most.min(buffer.len());
        let result = self.transport.try_read(&mut buffer[..most]);
        match result {
            Ok(0) => self.on_end(End::Finished),
            Ok(length) => {
                self.note_bytes();
                self.read_frames(&buffer[..length]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.on_end(End::Reset),
        }
        self.state.return_buffer(buffer);
        self.write();
    }

    /// Notes that bytes pass now.
    pub(super) fn note_bytes(&mut self) {
        self.bytes_at = (self.bytes_at.1, self.state.now());
    }

    /// When bytes last passed before the server ended the connection. Its Close does not count.
    fn last_byte_before_end(&self) -> Timestamp {
        if self.close_code.is_some() { self.bytes_at.0 } else { self.bytes_at.1 }
    }

    pub(super) fn read_frames(&mut self, arrived: &[u8]) {
        let bytes = self.connection.core.join(arrived);
        let mut used = 0;
        while self.end.is_none() {
            match self.connection.core.next_frame(&bytes[used..]) {
                Ok(Some((frame, offset))) => {
                    if let Err(garbled) = self.on_frame(frame, offset) {
                        return self.on_garbled(&garbled, &bytes[used..]);
                    }
                    used += frame.length;
                }
                Ok(None) => break,
                Err(garbled) => return self.on_garbled(&garbled, &bytes[used..]),
            }
        }
        self.connection.core.store_rest(bytes, used);
    }

    fn on_frame(&mut self, frame: Frame<'_>, offset: u64) -> Result<(), Garbled> {
        if self.connection.core.has_close {
            let outcome = format!("a frame {:#04x} behind the server's Close", frame.first);
            self.violate(Guarantee::G5, Fault::AfterClose, outcome);
        }
        match self.connection.core.complete(frame, offset)? {
            Some(Message { opcode, payload, offset }) => self.on_message(opcode, &payload, offset),
            None => Ok(()),
        }
    }

    fn on_message(&mut self, code: u8, payload: &[u8], offset: u64) -> Result<(), Garbled> {
        let state = Rc::clone(&self.state);
        let arrival = state.pulse.arrival();
        state.judge.borrow_mut().on_sign_of_life(arrival);
        let received = state.dialect.interpret(code, payload)?;
        self.add_to_story(|| format!("gets {}", describe(&received)));
        let before = state.judge.borrow().violations().len();
        match received {
            Received::Push(text) => state.on_push(&mut self.connection, text, arrival, offset),
            Received::Echo(text) => self.on_echo(text, arrival, offset),
            Received::Ping(payload) if self.answers_pings => {
                self.compose_frame(0x80 | opcode::PONG, payload);
            }
            Received::Ping(_) => {}
            Received::Pong(payload) => self.on_pong(payload),
            Received::Close(code) => self.on_close(code),
            Received::Binary => {
                let outcome = format!("a binary message from the server: {}", shown(payload));
                self.violate(Guarantee::G9, Fault::Unexpected, outcome);
            }
            Received::Unknown(text) => self.on_unknown(text),
        }
        self.attach_story(before);
        Ok(())
    }

    fn on_echo(&mut self, text: &[u8], arrival: Arrival, offset: u64) {
        let state = Rc::clone(&self.state);
        self.echoes_heard += 1;
        let canonical = std::str::from_utf8(text).ok().and_then(|text| state.dialect.command(text));
        let is_due = self.connection.core.echoes.front().is_some_and(|due| due.is(text));
        if !is_due && self.last_binary.as_deref() == Some(text) {
            let outcome = format!("the server answered a binary message: {}", shown(text));
            return self.violate(Guarantee::G9, Fault::Unexpected, outcome);
        }
        let text = canonical.map_or(text, |command| text_of(command).as_bytes());
        let seen = Sighting { at: arrival.at, sent_at: arrival.at, offset };
        state.judge.borrow_mut().on_echo(&mut self.connection, text, seen);
        if let Some(asked) = self.echo_timed_since.take() {
            state.record_answer(asked, arrival.at);
        }
    }

    /// Adds this client's story to the violations from index `before` on.
    fn attach_story(&mut self, before: usize) {
        if !self.story.is_empty() {
            let story = self.told();
            self.state.judge.borrow_mut().add_story(before, self.connection.core.client, &story);
        }
    }

    fn on_unknown(&mut self, text: &[u8]) {
        if self.connection.is_excluded || self.is_opening_text(text) {
            return;
        }
        let core = &self.connection.core;
        let is_reply = core.windows.has_commanded || self.last_binary.is_some();
        let guarantee = if is_reply { Guarantee::G9 } else { Guarantee::G8 };
        let is_welcome = !is_reply && self.connection.pushes == 0 && self.echoes_heard == 0;
        let kind = if is_welcome {
            "a text that the client did not ask for; [[open]] of a dialect may allow it"
        } else {
            "a text that is no reply and no push"
        };
        self.violate(guarantee, Fault::Unexpected, format!("{kind}: {}", shown(text)));
    }

    /// Whether the dialect allows this text as the next one after the 101.
    fn is_opening_text(&mut self, text: &[u8]) -> bool {
        let is_next = self.state.dialect.is_opening_text(self.opening_texts, text);
        self.opening_texts += usize::from(is_next);
        is_next
    }

    /// RFC 6455 section 5.5.3 allows a client to answer only the newest of several pings, and to send unsolicited
    /// pongs with any payload. So the only wrong pong is one that never arrives.
    fn on_pong(&mut self, payload: &[u8]) {
        if let Some(place) = self.pings.iter().position(|due| due == payload) {
            self.pings.drain(..=place);
            self.state.judge.borrow_mut().exercise(Guarantee::G13);
        }
    }

    fn on_close(&mut self, code: Option<u16>) {
        self.connection.core.has_close = true;
        self.close_code = Some(code);
        if self.connection.core.phase != Phase::Open {
            return;
        }
        self.state.check_due_cycles(&mut self.connection);
        self.connection.core.phase = Phase::Closing;
        self.compose_frame(0x80 | opcode::CLOSE, &code.unwrap_or(1000).to_be_bytes());
        if self.may_be_ended {
            return;
        }
        if self.state.judge.borrow().drained_at.is_some() {
            return self.on_farewell(code);
        }
        self.on_dropped(Ending::Close(code));
    }

    /// Judges the server's Close at its shutdown.
    fn on_farewell(&mut self, code: Option<u16>) {
        let (now, client, role) = (self.now(), self.number(), self.connection.role);
        let mut judge = self.state.judge.borrow_mut();
        let due = self.state.dialect.shutdown_codes(judge.is_strict);
        match code {
            Some(code) if due.contains(&code) => judge.exercise(Guarantee::G14),
            None => {
                judge.exercise(Guarantee::G14);
                let seen = Observation::of(role, "the Close at the shutdown had no code".to_owned());
                judge.lapse(Clause::CodeAtShutdown, Fault::WrongClose, now, client, seen);
            }
            Some(code) => {
                let due: Vec<String> = due.iter().map(u16::to_string).collect();
                let outcome =
                    format!("the Close at the shutdown had the code {code}; due was {}", due.join(" or "));
                let seen = Observation::of(role, outcome);
                judge.violate(Guarantee::G14, Fault::WrongClose, now, client, seen);
            }
        }
    }

    pub(super) fn on_end(&mut self, end: End) {
        self.end = Some(end);
        self.add_to_story(|| {
            if end == End::Finished { "sees the end of the stream".into() } else { "is reset".into() }
        });
        let is_expected =
            self.may_be_ended || self.connection.core.has_close || self.connection.core.phase != Phase::Open;
        if !is_expected {
            self.state.check_due_cycles(&mut self.connection);
            self.on_dropped(Ending::Stream);
        }
    }

    fn on_dropped(&mut self, ending: Ending) {
        let now = self.now();
        let before = self.state.judge.borrow().violations().len();
        let ended = Ended {
            lived: now.since(self.connection.core.opened_at),
            silent: now.since(self.last_byte_before_end()),
            code: self.close_code,
        };
        self.state.judge.borrow_mut().on_ended(ended);
        if self.last_pong_at.is_some_and(|at| now.since(at) < ATTRIBUTION_TIME) {
            let outcome = format!("the server ended the connection {ending}, right after a pong");
            self.violate(Guarantee::G13, Fault::Dropped, outcome);
        } else {
            self.state.judge.borrow_mut().on_dropped(&self.connection, now, ending);
        }
        self.attach_story(before);
    }

    fn on_garbled(&mut self, garbled: &Garbled, bytes: &[u8]) {
        let guarantee = guarantee_of_garbled(&self.connection.core);
        let outcome = if bytes.starts_with(b"HTTP/") {
            format!("an HTTP response where a frame was due: {}", shown(bytes))
        } else {
            format!("{}: {}", garbled.0, shown(bytes))
        };
        self.violate(guarantee, Fault::Garbled, outcome);
        self.may_be_ended = true;
        self.end = Some(End::Reset);
    }

    fn violate(&mut self, guarantee: Guarantee, fault: Fault, outcome: String) {
        let (now, client) = (self.now(), self.number());
        let seen = Observation::of(self.connection.role, outcome);
        self.state.judge.borrow_mut().violate(guarantee, fault, now, client, seen);
    }

    /// An observation of this client, with its story.
    pub(crate) fn with_story(&self, outcome: &str) -> Observation {
        Observation::of(self.connection.role, outcome.to_owned()).with_story(self.told())
    }

    /// The story in one line.
    fn told(&self) -> String {
        let story: Vec<&str> = self.story.iter().map(String::as_str).collect();
        story.join("; ")
    }

    pub(super) fn add_to_story(&mut self, line: impl FnOnce() -> String) {
        if !self.has_story {
            return;
        }
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        self.story.push_back(format!("{} {}", seconds(self.state.now()), line()));
    }
}

/// The protocol's text for a command.
fn text_of(command: Command) -> &'static str {
    match command {
        Command::Subscribe => SUBSCRIBE,
        Command::Unsubscribe => UNSUBSCRIBE,
    }
}

/// A received message, as text for a story.
fn describe(received: &Received<'_>) -> String {
    match received {
        Received::Binary => "a binary message".to_owned(),
        Received::Close(code) => format!("a Close {}", with_code(*code)),
        Received::Echo(text) => format!("the echo {}", shown(text)),
        Received::Ping(_) => "a ping".to_owned(),
        Received::Pong(payload) => format!("a pong of {} bytes", payload.len()),
        Received::Push(text) | Received::Unknown(text) => shown(text),
    }
}
