//! What reaches a client, and what it makes of it.

use std::time::Duration;

use carillon_server::Timestamp;

use super::{HANDSHAKES, World};
use crate::network::link::End;
use crate::network::link::{LinkId, Unread};
use crate::network::payload_of;
use crate::network::queue::Event;
use crate::oracle::checker::Sighting;
use crate::oracle::connection::Phase;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::verb::Departure;
use crate::trace::Digest;
use crate::wire::codec::{self, Frame, Garbled, Received, opcode};
use crate::wire::offence::Offence;
use crate::world::target::Target;

/// What a server that is not ours may take for a handshake beyond any other answer: it may look somebody up.
const FOREIGN_HANDSHAKE: Duration = Duration::from_secs(5);

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

    /// Reads a piece of a payload, and gives back one reference to it.
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
        let peer = &mut self.peers[link.index()];
        let is_plain = peer.phase == Phase::Open && !peer.has_window && !peer.has_close;
        if is_plain && peer.is_between_frames() {
            let cycle = self.checker.grid.newest(sent_at);
            if bytes == self.checker.grid.frame(cycle) {
                let digest = self.checker.grid.digest(cycle);
                self.trace.digest.absorb(digest);
                peer.observed.absorb(digest);
                let seen = Sighting { at: self.net.now, sent_at, offset: peer.received };
                peer.received += bytes.len() as u64;
                self.checker.on_push(peer, None, seen);
                if self.trace.watches(peer.client) {
                    self.tell(link, |line| line.push_str(&String::from_utf8_lossy(&bytes[2..])));
                }
                return;
            }
        }
        self.read_slowly(link, bytes, sent_at);
    }

    /// Reads bytes of any kind, cut anywhere.
    fn read_slowly(&mut self, link: LinkId, arrived: &[u8], sent_at: Timestamp) {
        let bytes = self.peers[link.index()].join(arrived);
        let mut used = 0;
        if self.peers[link.index()].phase == Phase::Handshake {
            match self.read_response(link, &bytes) {
                Ok(Some(length)) => used = length,
                Ok(None) => return self.peers[link.index()].keep(bytes, 0),
                Err(garbled) => return self.on_garbled(link, garbled),
            }
        }
        while !self.net.links[link.index()].is_client_gone {
            match codec::split_frame(&bytes[used..]) {
                Ok(Some(Frame { first, payload, length })) => {
                    let offset = self.peers[link.index()].received;
                    self.peers[link.index()].received += length as u64;
                    let seen = Sighting { at: self.net.now, sent_at, offset };
                    if let Err(garbled) = self.on_frame(link, first, payload, seen) {
                        return self.on_garbled(link, garbled);
                    }
                    used += length;
                }
                Ok(None) => break,
                Err(garbled) => return self.on_garbled(link, garbled),
            }
        }
        self.peers[link.index()].keep(bytes, used);
    }

    fn read_response(&mut self, link: LinkId, bytes: &[u8]) -> Result<Option<usize>, Garbled> {
        let peer = &mut self.peers[link.index()];
        if peer.offence.is_some() {
            return self.read_refusal(link, bytes);
        }
        let handshake = &self.handshakes[peer.client as usize % HANDSHAKES];
        let length = handshake.read_response(bytes)?;
        if let Some(length) = length {
            self.check_handshake(link);
            let peer = &mut self.peers[link.index()];
            peer.is_overdue = false;
            peer.received += length as u64;
            peer.phase = Phase::Open;
            if self.checker.is_foreign {
                peer.taken_at = self.net.now;
                self.await_effect(link);
            }
            self.on_open(link);
        }
        Ok(length)
    }

    /// A request that the server has whole is answered as promptly as a message is (G10).
    pub(super) fn check_handshake(&mut self, link: LinkId) {
        let (is_excused, now) = (self.is_handshake_excused(link), self.net.now);
        let allowance = if self.checker.is_foreign { FOREIGN_HANDSHAKE } else { Duration::ZERO };
        let limit = 2 * self.scenario.links.longest_way() + self.scenario.bounds.reply + allowance;
        let peer = &mut self.peers[link.index()];
        let waits_for = now.since(peer.taken_at.max(self.checker.paused_until()));
        if is_excused || waits_for <= limit || std::mem::replace(&mut peer.is_overdue, true) {
            return;
        }
        self.checker.violate(Guarantee::G10, Fault::Late, now, peer, || {
            format!("a request has waited {waits_for:?} for its answer; allowed are {limit:?}")
        });
    }

    /// Whether no answer is due to a handshake: there is none, it is not complete, or something else explains it.
    fn is_handshake_excused(&self, link: LinkId) -> bool {
        let peer = &self.peers[link.index()];
        let is_due =
            peer.phase == Phase::Handshake && peer.offence.is_none() && peer.windows.is_taken(peer.taken);
        let is_broken = peer.may_be_ended || peer.is_mute || self.net.links[link.index()].is_server_gone;
        !is_due || is_broken || self.is_suspended || self.checker.is_draining() || self.may_be_cut(link)
    }

    /// Whoever asked for something else must not get an upgrade.
    fn read_refusal(&mut self, link: LinkId, bytes: &[u8]) -> Result<Option<usize>, Garbled> {
        if bytes.starts_with(b"HTTP/1.1 101") {
            return Err(Garbled("an upgrade that nobody asked for"));
        }
        self.checker.exercise(Guarantee::G12, self.peers[link.index()].met);
        Ok(None)
    }

    fn on_frame(&mut self, link: LinkId, first: u8, payload: &[u8], seen: Sighting) -> Result<(), Garbled> {
        let peer = &mut self.peers[link.index()];
        if peer.has_close {
            self.checker.violate(Guarantee::G5, Fault::AfterClose, seen.at, peer, || {
                format!("a frame {first:#04x} behind the server's Close")
            });
        }
        let is_control = first & 0x08 != 0;
        if is_control || (first & 0x8F != 0x80 && first & 0x80 != 0 && peer.is_between_frames()) {
            return self.on_message(link, first & 0x0F, payload, seen);
        }
        // What a message broke is broken where it begins.
        let seen = Sighting { offset: self.peers[link.index()].message_offset(seen.offset), ..seen };
        match self.peers[link.index()].assemble(first, payload)? {
            Some((opcode, message)) => self.on_message(link, opcode, &message, seen),
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
        let peer = &mut self.peers[link.index()];
        if matches!(opcode, opcode::TEXT | opcode::BINARY) {
            peer.observed.absorb(digest);
        }
        let received = codec::interpret(opcode, payload)?;
        match &received {
            Received::Push(text) => self.on_push(link, text, seen),
            Received::Echo(text) => {
                if let Some(asked_at) = self.checker.on_echo(peer, text, seen) {
                    self.checker.on_settled(&peer.windows, asked_at, seen.at);
                    let state = peer.windows.state;
                    self.tell(link, |line| line.push_str(&format!("is settled by its fence: {state:?}")));
                }
            }
            // Whoever has broken off in the middle of a frame cannot answer.
            Received::Ping(_) if peer.offence.is_some() => {}
            Received::Ping(payload) => {
                self.compose_frame(link, opcode::PONG, payload);
                self.transmit(link);
            }
            Received::Pong(payload) => self.on_pong(link, payload),
            Received::Close(code) => self.on_server_close(link, *code),
            Received::Binary => self.checker.violate(Guarantee::G9, Fault::Unexpected, seen.at, peer, || {
                "a binary message from the server".to_owned()
            }),
            Received::Unknown(text) => {
                let guarantee = if peer.windows.has_commanded { Guarantee::G9 } else { Guarantee::G8 };
                self.checker.violate(guarantee, Fault::Unexpected, seen.at, peer, || {
                    format!("a text that is no reply and no push: {:?}", String::from_utf8_lossy(text))
                });
            }
        }
        self.tell(link, |line| line.push_str(&describe(&received)));
        Ok(())
    }

    fn on_push(&mut self, link: LinkId, text: &[u8], seen: Sighting) {
        let peer = &mut self.peers[link.index()];
        match &self.net.links[link.index()].flow {
            Some(flow) => self.checker.on_slow_push(peer, text, seen, flow),
            None => self.checker.on_push(peer, Some(text), seen),
        }
    }

    /// Any other pong is one that nobody has asked for (RFC 6455 section 5.5.3); the right one is missed in time.
    fn on_pong(&mut self, link: LinkId, payload: &[u8]) {
        let peer = &mut self.peers[link.index()];
        if peer.ping != 0 && payload == peer.ping.to_be_bytes() {
            peer.ping = 0;
            self.checker.exercise(Guarantee::G13, peer.met);
        }
    }

    fn on_garbled(&mut self, link: LinkId, garbled: Garbled) {
        let peer = &self.peers[link.index()];
        let is_excused = self.is_unsettled_handshake(link);
        if !is_excused {
            let guarantee = if peer.offence.is_some() { Guarantee::G12 } else { Guarantee::G5 };
            self.checker.violate(guarantee, Fault::Garbled, self.net.now, peer, || garbled.0.to_owned());
        }
        let client = peer.client;
        self.depart(link, Departure::Reset);
        self.return_later(client);
    }

    fn on_server_close(&mut self, link: LinkId, code: Option<u16>) {
        let peer = &mut self.peers[link.index()];
        peer.has_close = true;
        if peer.phase != Phase::Open {
            return self.check_reply_to_close(link, code);
        }
        self.check_close(link, code);
        let peer = &mut self.peers[link.index()];
        if peer.offence.is_some() {
            // It keeps its end open: the server must let go of it all the same.
            return;
        }
        peer.phase = Phase::Closing;
        self.compose_frame(link, opcode::CLOSE, &code.unwrap_or(1000).to_be_bytes());
        self.transmit(link);
    }

    /// The server answers a Close with the code that it got (RFC 6455 section 5.5.1).
    fn check_reply_to_close(&mut self, link: LinkId, code: Option<u16>) {
        let peer = &self.peers[link.index()];
        let is_due = matches!(code, Some(1000)) || self.checker.is_draining() || self.may_be_cut(link);
        if !is_due && peer.ended_at != Timestamp::MAX && !peer.is_mute {
            self.checker.violate(Guarantee::G12, Fault::WrongClose, self.net.now, peer, || {
                format!("a Close of 1000 was answered with {}", name_of(code))
            });
        }
    }

    /// Whether a Close of the server is called for, and has the right code.
    fn check_close(&mut self, link: LinkId, code: Option<u16>) {
        let now = self.net.now;
        let peer = &self.peers[link.index()];
        let is_slow = self.may_be_cut(link);
        if self.checker.is_draining() && code == Some(1001) {
            self.check_drained(link);
        } else if let Some((offence, due)) = peer.offence.and_then(with_close_code) {
            if code == Some(due) {
                self.checker.exercise(Guarantee::G12, peer.met);
            } else {
                self.checker.violate(Guarantee::G12, Fault::WrongClose, now, peer, || {
                    format!("{} was answered with {}; due was {due}", offence.name(), name_of(code))
                });
            }
        } else if is_slow && self.may_tell_the_slow(code) {
            self.checker.exercise(Guarantee::G10, peer.met);
        } else if is_slow && !self.checker.is_draining() {
            self.checker.violate(Guarantee::G10, Fault::WrongClose, now, peer, || {
                format!("a slow client got {}; due was 1013", name_of(code))
            });
        } else if self.checker.is_draining() {
            self.checker.violate(Guarantee::G14, Fault::WrongClose, now, peer, || {
                format!("the server shut down with {}; due was 1001", name_of(code))
            });
        } else if !peer.may_be_ended && !peer.is_mute {
            self.checker.violate(Guarantee::G3, Fault::Dropped, now, peer, || {
                format!("the server ended the connection with {}", name_of(code))
            });
        }
    }

    /// Whether a client that did not read may be closed with this code. Another server has words of its own, but it must
    /// not say that all is well, or that the client broke a rule.
    fn may_tell_the_slow(&self, code: Option<u16>) -> bool {
        code == Some(1013)
            || (self.checker.is_foreign && !matches!(code, Some(1000 | 1002 | 1003 | 1007 | 1009 | 1010)))
    }

    /// The Close of a shutdown comes behind everything that was queued.
    fn check_drained(&mut self, link: LinkId) {
        let peer = &self.peers[link.index()];
        let pushes = peer.owed.as_ref().map_or(0, |owed| owed.waiting.len() + owed.overtaken.len());
        if pushes == 0 && peer.echoes_at_drain == 0 {
            return self.checker.exercise(Guarantee::G14, peer.met);
        }
        self.checker.violate(Guarantee::G14, Fault::Lost, self.net.now, peer, || {
            format!("{pushes} pushes and {} replies were queued and never came", peer.echoes_at_drain)
        });
    }

    /// The client sees the end of the server's stream, and ends its own.
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
        self.check_end(link, end);
        self.tell(link, |line| line.push_str(if end == End::Finished { "end of stream" } else { "reset" }));
        let peer = &self.peers[link.index()];
        let client = peer.client;
        if peer.offence.is_some() && end == End::Finished && !self.net.links[link.index()].is_server_gone {
            return;
        }
        let is_current = self.is_current(link);
        self.net.end_to_server(link, End::Finished);
        self.leave(link);
        if is_current {
            self.return_later(client);
        }
    }

    fn check_end(&mut self, link: LinkId, end: End) {
        let peer = &self.peers[link.index()];
        let is_unannounced = !peer.has_close && peer.phase == Phase::Open;
        let punished = peer.offence.filter(|offence| offence.close_code().is_some());
        let is_excused = peer.may_be_ended || self.checker.is_draining() || self.may_be_cut(link);
        if let Some(offence) = punished
            && is_unannounced
            && (end == End::Finished || !is_excused)
        {
            return self.checker.violate(Guarantee::G12, Fault::WrongClose, self.net.now, peer, || {
                format!("{} was answered with the end of the stream, and no Close", offence.name())
            });
        }
        if self.lacks_close(link) {
            return self.checker.violate(Guarantee::G12, Fault::Lost, self.net.now, peer, || {
                "a Close was answered with the end of the stream, and no Close".to_owned()
            });
        }
        let is_expected = peer.has_close || peer.phase == Phase::Closing || peer.may_be_ended || peer.is_mute;
        if is_expected || self.may_be_cut(link) || self.is_unsettled_handshake(link) {
            return;
        }
        let guarantee = if self.checker.is_draining() { Guarantee::G14 } else { Guarantee::G3 };
        self.checker.violate(guarantee, Fault::Dropped, self.net.now, peer, || {
            let how = if end == End::Finished { "ended the stream" } else { "reset the connection" };
            format!("the server {how} without a Close")
        });
    }

    /// Whether a server that ends the stream now owes the client the answer to its Close.
    fn lacks_close(&self, link: LinkId) -> bool {
        let peer = &self.peers[link.index()];
        let has_stood_still = self.checker.paused_until() >= peer.ended_at;
        let is_excused = has_stood_still || self.checker.is_draining() || self.may_be_cut(link);
        peer.awaits_close && !peer.has_close && !is_excused
    }

    /// Whether the client has not always read what it was sent: the server may run out of patience.
    pub(super) fn may_be_cut(&self, link: LinkId) -> bool {
        let flow = &self.net.links[link.index()].flow;
        flow.as_ref()
            .is_some_and(|flow| !flow.is_flowing() || flow.has_held || flow.stuck_until > Timestamp::ZERO)
    }

    /// Whether a handshake may fail: the server has stood still since it began, or is shutting down.
    fn is_unsettled_handshake(&self, link: LinkId) -> bool {
        let peer = &self.peers[link.index()];
        let has_stood_still = self.checker.paused_until() >= peer.opened_at;
        peer.phase == Phase::Handshake && (has_stood_still || self.checker.is_draining())
    }
}

/// The rule that was broken, and the code of the Close that answers it.
fn with_close_code(offence: Offence) -> Option<(Offence, u16)> {
    offence.close_code().map(|code| (offence, code))
}

fn name_of(code: Option<u16>) -> String {
    format!("a Close {}", code.map_or_else(|| "without a code".to_owned(), |code| format!("of {code}")))
}

fn code_words(code: Option<u16>) -> String {
    code.map_or_else(|| "without a code".to_owned(), |code| code.to_string())
}

/// A frame in words.
fn describe(received: &Received<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match received {
        Received::Binary => "binary".to_owned(),
        Received::Close(code) => format!("close {}", code_words(*code)),
        Received::Echo(bytes) => format!("echo of {}", text(bytes)),
        Received::Ping(_) => "ping".to_owned(),
        Received::Pong(_) => "pong".to_owned(),
        Received::Push(bytes) | Received::Unknown(bytes) => text(bytes),
    }
}
