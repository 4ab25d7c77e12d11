//! Bytes that reach a client, and how the client reads them.

use carillon_server::Timestamp;

use super::{HANDSHAKES, World};
use crate::network::link::End;
use crate::network::link::{LinkId, Unread};
use crate::network::payload_of;
use crate::network::queue::Event;
use crate::oracle::connection::{Message, Phase};
use crate::oracle::sighting::Sighting;
use crate::script::verb::Departure;
use crate::trace::Digest;
use crate::wire::codec::{self, Frame, Garbled, Received, opcode};
use crate::world::target::Target;

impl<T: Target> World<T> {
    pub(super) fn on_client_bytes(&mut self, link: LinkId, event: &Event) {
        let piece = Unread { payload: payload_of(event), start: event.start, end: event.end };
        let state = &self.net.links[link.index()];
        if state.is_client_gone {
            self.net.payloads.release(piece.payload);
        } else if state.flow.is_some() {
            self.on_slow_bytes(link, piece);
        } else {
            self.read_payload(link, piece);
        }
    }

    /// Reads a piece of a payload, and releases one reference to it.
    pub(super) fn read_payload(&mut self, link: LinkId, piece: Unread) {
        let sent_at = self.net.payloads.sent_at(piece.payload);
        let bytes = self.net.payloads.take(piece.payload);
        self.read(link, &bytes[piece.start as usize..piece.end as usize], sent_at);
        self.net.payloads.put_back(piece.payload, bytes);
    }

    fn read(&mut self, link: LinkId, bytes: &[u8], sent_at: Timestamp) {
        self.note(link, |line| {
            line.push_str(&format!("{} bytes reach the client, sent at {sent_at}", bytes.len()));
        });
        let connection = &mut self.connections[link.index()];
        let is_plain = connection.phase == Phase::Open && !connection.has_window && !connection.has_close;
        if is_plain && connection.is_between_frames() {
            let cycle = self.checker.grid.newest(sent_at);
            if bytes == self.checker.grid.frame(cycle) {
                let digest = self.checker.grid.digest(cycle);
                self.trace.digest.absorb(digest);
                connection.observed.absorb(digest);
                let seen = Sighting { at: self.net.now, sent_at, offset: connection.received };
                connection.received += bytes.len() as u64;
                self.checker.on_push(connection, None, seen);
                if self.trace.watches(connection.client) {
                    self.tell(link, |line| line.push_str(&String::from_utf8_lossy(&bytes[2..])));
                }
                return;
            }
        }
        self.read_slowly(link, bytes, sent_at);
    }

    /// Reads bytes of any kind, split at any place.
    fn read_slowly(&mut self, link: LinkId, arrived: &[u8], sent_at: Timestamp) {
        let bytes = self.connections[link.index()].join(arrived);
        let mut used = 0;
        if self.connections[link.index()].phase == Phase::Handshake {
            match self.read_response(link, &bytes) {
                Ok(Some(length)) => used = length,
                Ok(None) => return self.connections[link.index()].store_rest(bytes, 0),
                Err(garbled) => return self.on_garbled(link, garbled),
            }
        }
        while !self.net.links[link.index()].is_client_gone {
            match self.connections[link.index()].next_frame(&bytes[used..]) {
                Ok(Some((frame, offset))) => {
                    let seen = Sighting { at: self.net.now, sent_at, offset };
                    if let Err(garbled) = self.on_frame(link, frame, seen) {
                        return self.on_garbled(link, garbled);
                    }
                    used += frame.length;
                }
                Ok(None) => break,
                Err(garbled) => return self.on_garbled(link, garbled),
            }
        }
        self.connections[link.index()].store_rest(bytes, used);
    }

    fn read_response(&mut self, link: LinkId, bytes: &[u8]) -> Result<Option<usize>, Garbled> {
        let connection = &mut self.connections[link.index()];
        if connection.offence.is_some() {
            return self.checker.on_refusal(connection, bytes).map(|()| None);
        }
        let handshake = &self.handshakes[connection.client as usize % HANDSHAKES];
        let length = handshake.read_response(bytes)?;
        if let Some(length) = length {
            let (state, is_suspended) = (&self.net.links[link.index()], self.is_suspended);
            self.checker.check_handshake(connection, state, is_suspended, self.net.now);
            connection.is_overdue = false;
            connection.received += length as u64;
            connection.phase = Phase::Open;
            if self.checker.is_foreign() {
                connection.taken_at = self.net.now;
                self.await_effect(link);
            }
            self.on_open(link);
        }
        Ok(length)
    }

    fn on_frame(&mut self, link: LinkId, frame: Frame<'_>, seen: Sighting) -> Result<(), Garbled> {
        let connection = &mut self.connections[link.index()];
        self.checker.on_frame(connection, frame.first, seen);
        match connection.complete(frame, seen.offset)? {
            Some(Message { opcode, payload, offset }) => {
                self.on_message(link, opcode, &payload, Sighting { offset, ..seen })
            }
            None => Ok(()),
        }
    }

    fn on_message(
        &mut self,
        link: LinkId,
        opcode: u8,
        payload: &[u8],
        seen: Sighting,
    ) -> Result<(), Garbled> {
        let digest = Digest::of(payload);
        self.trace.digest.absorb(digest);
        let connection = &mut self.connections[link.index()];
        if matches!(opcode, opcode::TEXT | opcode::BINARY) {
            connection.observed.absorb(digest);
        }
        let received = codec::interpret(opcode, payload)?;
        if self.checker.on_message(connection, &self.net.links[link.index()], &received, seen) {
            let state = connection.windows.state;
            self.tell(link, |line| line.push_str(&format!("is settled by its fence: {state:?}")));
        }
        match &received {
            // A client that has stopped in the middle of a frame cannot answer.
            Received::Ping(payload) if self.connections[link.index()].offence.is_none() => {
                self.compose_frame(link, opcode::PONG, payload);
                self.transmit(link);
            }
            Received::Close(code) => self.on_server_close(link, *code),
            _ => {}
        }
        self.tell(link, |line| line.push_str(&describe(&received)));
        Ok(())
    }

    fn on_garbled(&mut self, link: LinkId, garbled: Garbled) {
        let connection = &self.connections[link.index()];
        self.checker.on_garbled(connection, &garbled, self.net.now);
        let client = connection.client;
        self.depart(link, Departure::Reset);
        self.return_later(client);
    }

    fn on_server_close(&mut self, link: LinkId, code: Option<u16>) {
        let connection = &mut self.connections[link.index()];
        connection.has_close = true;
        self.checker.on_close(connection, &self.net.links[link.index()], code, self.net.now);
        if connection.phase != Phase::Open || connection.offence.is_some() {
            // A client that broke a rule keeps its end open: the server must release the connection anyway.
            return;
        }
        connection.phase = Phase::Closing;
        self.compose_frame(link, opcode::CLOSE, &code.unwrap_or(1000).to_be_bytes());
        self.transmit(link);
    }

    /// The client reads the end of the server's stream, and ends its own.
    pub(super) fn on_client_end(&mut self, link: LinkId, end: End) {
        let state = &mut self.net.links[link.index()];
        if state.is_client_gone {
            return;
        }
        if let Some(flow) = &mut state.flow
            && flow.has_unread()
            && end == End::Finished
        {
            flow.pending_end = Some(end);
            return;
        }
        let state = &self.net.links[link.index()];
        self.checker.on_stream_end(&self.connections[link.index()], state, end, self.net.now);
        self.tell(link, |line| line.push_str(if end == End::Finished { "end of stream" } else { "reset" }));
        let connection = &self.connections[link.index()];
        let client = connection.client;
        if connection.offence.is_some()
            && end == End::Finished
            && !self.net.links[link.index()].is_server_gone
        {
            return;
        }
        let is_current = self.is_current(link);
        self.net.end_to_server(link, End::Finished);
        self.leave(link);
        if is_current {
            self.return_later(client);
        }
    }
}

fn code_text(code: Option<u16>) -> String {
    code.map_or_else(|| "without a code".to_owned(), |code| code.to_string())
}

/// A frame as text for the trace.
fn describe(received: &Received<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match received {
        Received::Binary => "binary".to_owned(),
        Received::Close(code) => format!("close {}", code_text(*code)),
        Received::Echo(bytes) => format!("echo of {}", text(bytes)),
        Received::Ping(_) => "ping".to_owned(),
        Received::Pong(_) => "pong".to_owned(),
        Received::Push(bytes) | Received::Unknown(bytes) => text(bytes),
    }
}
