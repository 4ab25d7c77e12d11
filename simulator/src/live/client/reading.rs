//! How a client of the live arm reads and interprets what the server sends.

use std::io::ErrorKind;
use std::rc::Rc;

use carillon_server::protocol::{Command, SUBSCRIBE, UNSUBSCRIBE};

use super::live_client::{LiveClient, STORY};
use crate::live::judge::{ATTRIBUTION_TIME, seconds};
use crate::network::link::End;
use crate::oracle::connection::{Message, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::sighting::Sighting;
use crate::wire::codec::{Frame, Garbled, Received, opcode};

/// How much of a text a story shows, in bytes or characters.
const SHOWN: usize = 48;

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
            Ok(length) => self.read_frames(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.on_end(End::Reset),
        }
        self.state.return_buffer(buffer);
        self.write();
    }

    pub(super) fn read_frames(&mut self, arrived: &[u8]) {
        let bytes = self.connection.core.join(arrived);
        let mut used = 0;
        while self.end.is_none() {
            match self.connection.core.next_frame(&bytes[used..]) {
                Ok(Some((frame, offset))) => {
                    if let Err(garbled) = self.on_frame(frame, offset) {
                        return self.on_garbled(garbled);
                    }
                    used += frame.length;
                }
                Ok(None) => break,
                Err(garbled) => return self.on_garbled(garbled),
            }
        }
        self.connection.core.store_rest(bytes, used);
    }

    fn on_frame(&mut self, frame: Frame<'_>, offset: u64) -> Result<(), Garbled> {
        if self.connection.core.has_close {
            let detail = self.with_story(&format!("a frame {:#04x} behind the server's Close", frame.first));
            self.violate(Guarantee::G5, Fault::AfterClose, detail);
        }
        match self.connection.core.complete(frame, offset)? {
            Some(Message { opcode, payload, offset }) => self.on_message(opcode, &payload, offset),
            None => Ok(()),
        }
    }

    fn on_message(&mut self, code: u8, payload: &[u8], offset: u64) -> Result<(), Garbled> {
        let state = Rc::clone(&self.state);
        let arrival = state.pulse.arrival();
        state.judge.borrow_mut().on_sign_of_life(arrival.at);
        let received = state.dialect.interpret(code, payload)?;
        self.add_to_story(|| format!("gets {}", describe(&received)));
        let before = state.judge.borrow().violations().len();
        match received {
            Received::Push(text) => state.on_push(&mut self.connection, text, arrival, offset),
            Received::Echo(text) => {
                let canonical = std::str::from_utf8(text).ok().and_then(|text| state.dialect.command(text));
                let text = canonical.map_or(text, |command| text_of(command).as_bytes());
                let seen = Sighting { at: arrival.at, sent_at: arrival.at, offset };
                state.judge.borrow_mut().on_echo(&mut self.connection, text, seen);
                if let Some(asked) = self.echo_timed_since.take() {
                    state.record_answer(asked, arrival.at);
                }
            }
            Received::Ping(payload) if self.answers_pings => {
                self.compose_frame(0x80 | opcode::PONG, payload);
            }
            Received::Ping(_) => {}
            Received::Pong(payload) => self.on_pong(payload),
            Received::Close(code) => self.on_close(code),
            Received::Binary => {
                let detail = format!("{}: a binary message from the server", self.connection.role);
                self.violate(Guarantee::G9, Fault::Unexpected, detail);
            }
            Received::Unknown(text) => self.on_unknown(text),
        }
        self.attach_story(before);
        Ok(())
    }

    /// Adds this client's story to the violations from index `before` on.
    fn attach_story(&mut self, before: usize) {
        let mut judge = self.state.judge.borrow_mut();
        for violation in judge.violations_from(before) {
            if violation.client == Some(self.connection.core.client) && !self.story.is_empty() {
                let story: Vec<&str> = self.story.iter().map(String::as_str).collect();
                violation.detail.push_str(&format!(" [{}]", story.join("; ")));
            }
        }
    }

    fn on_unknown(&mut self, text: &[u8]) {
        if self.connection.is_excluded {
            return;
        }
        let has_commanded = self.connection.core.windows.has_commanded;
        let guarantee = if has_commanded { Guarantee::G9 } else { Guarantee::G8 };
        let shown = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]).into_owned();
        let detail = format!("{}: a text that is no reply and no push: {shown:?}", self.connection.role);
        self.violate(guarantee, Fault::Unexpected, detail);
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
        let is_draining = self.state.judge.borrow().drained_at.is_some();
        if is_draining && code == Some(1001) {
            return self.state.judge.borrow_mut().exercise(Guarantee::G14);
        }
        let ending =
            format!("with a Close of {}", code.map_or("no code".to_owned(), |code| code.to_string()));
        self.on_dropped(&ending);
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
            self.on_dropped("without a Close");
        }
    }

    fn on_dropped(&mut self, ending: &str) {
        let now = self.now();
        let before = self.state.judge.borrow().violations().len();
        if self.last_pong_at.is_some_and(|at| now.since(at) < ATTRIBUTION_TIME) {
            let detail = format!(
                "{}: the server ended the connection {ending}, right after a pong",
                self.connection.role
            );
            self.violate(Guarantee::G13, Fault::Dropped, detail);
        } else {
            self.state.judge.borrow_mut().on_dropped(&self.connection, now, ending);
        }
        self.attach_story(before);
    }

    fn on_garbled(&mut self, garbled: Garbled) {
        let guarantee = if self.connection.core.offence.is_some() { Guarantee::G12 } else { Guarantee::G5 };
        self.violate(guarantee, Fault::Garbled, format!("{}: {}", self.connection.role, garbled.0));
        self.may_be_ended = true;
        self.end = Some(End::Reset);
    }

    fn violate(&mut self, guarantee: Guarantee, fault: Fault, detail: String) {
        let (now, client) = (self.now(), Some(self.connection.core.client));
        self.state.judge.borrow_mut().violate(guarantee, fault, now, client, detail);
    }

    /// The sentence with the client's role before it and its story behind it.
    pub(crate) fn with_story(&self, sentence: &str) -> String {
        let story: Vec<&str> = self.story.iter().map(String::as_str).collect();
        format!("{}: {sentence} [{}]", self.connection.role, story.join("; "))
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
    let shown = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        let short: String = text.chars().take(SHOWN).collect();
        if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
    };
    match received {
        Received::Binary => "a binary message".to_owned(),
        Received::Close(code) => format!("a Close of {code:?}"),
        Received::Echo(text) => format!("the echo {}", shown(text)),
        Received::Ping(_) => "a ping".to_owned(),
        Received::Pong(payload) => format!("a pong of {} bytes", payload.len()),
        Received::Push(text) | Received::Unknown(text) => shown(text),
    }
}
