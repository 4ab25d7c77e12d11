//! How a client of the live arm composes and writes frames.

use std::io::ErrorKind;

use super::live_client::LiveClient;
use super::shown::shown;
use crate::script::verb::Utterance;
use crate::wire::codec::{self, opcode};
use crate::wire::text::Text;

impl LiveClient {
    pub(super) fn compose(&mut self, utterance: Utterance) {
        match utterance {
            Utterance::Binary => {
                let mut word = String::new();
                self.state.dialect.render(Text::Unsubscribe, &mut word);
                self.compose_frame(0x80 | opcode::BINARY, word.as_bytes());
                self.add_to_story(|| format!("sends {} as a binary message", shown(word.as_bytes())));
                self.connection.has_binary_command = true;
                self.last_binary = Some(word.into_bytes());
            }
            Utterance::Ping(number) => self.ping(&number.to_be_bytes()),
            Utterance::Pong => {
                self.compose_frame(0x80 | opcode::PONG, b"unasked");
                self.add_to_story(|| "sends a pong that nobody asked for".to_owned());
            }
            Utterance::Fragmented(text, pieces) => self.compose_text(text, usize::from(pieces)),
            Utterance::Text(text) => self.compose_text(text, 1),
        }
    }

    pub(super) fn compose_text(&mut self, text: Text, pieces: usize) {
        let mut rendered = String::new();
        self.state.dialect.render(text, &mut rendered);
        if text.command().is_none() && self.state.dialect.command(&rendered).is_some() {
            // A near miss in one dialect is a command in another.
            return;
        }
        let bytes = rendered.as_bytes();
        for piece in 0..pieces {
            let (start, end) = (bytes.len() * piece / pieces, bytes.len() * (piece + 1) / pieces);
            let code = if piece == 0 { opcode::TEXT } else { opcode::CONTINUATION };
            let is_final = if piece + 1 == pieces { 0x80 } else { 0 };
            self.compose_frame(is_final | code, &bytes[start..end]);
        }
        self.add_to_story(|| {
            let cut = if pieces > 1 { format!(" in {pieces} fragments") } else { String::new() };
            format!("sends {}{cut}", shown(bytes))
        });
        self.note_text(text);
    }

    /// A text as it goes over the wire, escaped and cut.
    pub(super) fn describe_text(&self, text: Text) -> String {
        let mut rendered = String::new();
        self.state.dialect.render(text, &mut rendered);
        shown(rendered.as_bytes())
    }

    pub(super) fn note_text(&mut self, text: Text) {
        let (end, now) = (self.connection.core.sent, self.state.now());
        match text.command() {
            Some(command) => {
                self.connection.has_binary_command = false;
                self.connection.core.windows.on_command(command, end, now);
            }
            None => {
                if self.connection.core.echoes.front().is_none() {
                    self.connection.core.waiting_since = now;
                    self.echo_timed_since = (!self.connection.is_excluded).then_some(now);
                }
                self.connection.core.expect_echo(text);
                let due = self.connection.core.echoes.len();
                self.connection.core.windows.on_text(due);
            }
        }
    }

    pub(super) fn compose_frame(&mut self, first: u8, payload: &[u8]) {
        if first == 0x80 | opcode::PONG {
            self.last_pong_at = Some(self.state.now());
        }
        let mask = self.rng.bits() as u32;
        codec::encode_raw(&mut self.outgoing, first, payload, mask);
    }

    pub(super) fn write(&mut self) {
        let mut written = 0;
        while written < self.outgoing.len() || (self.transport.has_unsent() && !self.is_broken) {
            match self.transport.try_write(&self.outgoing[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The reason, if there is one, is in what the server sent.
                Err(_) => {
                    self.is_broken = true;
                    return self.outgoing.clear();
                }
            }
        }
        if written > 0 {
            self.note_bytes();
        }
        self.outgoing.drain(..written);
        if self.outgoing.is_empty() && self.outgoing.capacity() > 256 {
            self.outgoing = Vec::new();
        }
    }
}
