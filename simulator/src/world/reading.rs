//! What reaches a client, and what it makes of it.

use carillon_server::Timestamp;

use super::{HANDSHAKES, World};
use crate::checker::{Fault, Sighting};
use crate::client::Departure;
use crate::codec::{self, Frame, Garbled, Received, opcode};
use crate::guarantee::Guarantee;
use crate::link::LinkId;
use crate::network::{End, payload_of};
use crate::peer::Phase;
use crate::queue::Event;
use crate::target::Target;
use crate::trace::Digest;

impl<T: Target> World<T> {
    pub(super) fn on_client_bytes(&mut self, link: LinkId, event: &Event) {
        let payload = payload_of(event);
        let sent_at = self.net.payloads.sent_at(payload);
        let bytes = self.net.payloads.take(payload);
        if !self.net.links[link.index()].is_client_gone {
            self.read(link, &bytes[event.start as usize..event.end as usize], sent_at);
        }
        self.net.payloads.put_back(payload, bytes);
    }

    pub(super) fn read(&mut self, link: LinkId, bytes: &[u8], sent_at: Timestamp) {
        let peer = &mut self.peers[link.index()];
        if peer.phase == Phase::Open && peer.is_between_frames() && !peer.has_close {
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
    pub(super) fn read_slowly(&mut self, link: LinkId, arrived: &[u8], sent_at: Timestamp) {
        let bytes = self.peers[link.index()].join(arrived);
        let mut rest = bytes.as_slice();
        if self.peers[link.index()].phase == Phase::Handshake {
            match self.read_response(link, rest) {
                Ok(Some(length)) => rest = &rest[length..],
                Ok(None) => return self.peers[link.index()].keep(rest),
                Err(garbled) => return self.on_garbled(link, garbled),
            }
        }
        while !self.net.links[link.index()].is_client_gone {
            match codec::split_frame(rest) {
                Ok(Some(Frame { first, payload, length })) => {
                    let offset = self.peers[link.index()].received;
                    self.peers[link.index()].received += length as u64;
                    let seen = Sighting { at: self.net.now, sent_at, offset };
                    if let Err(garbled) = self.on_frame(link, first, payload, seen) {
                        return self.on_garbled(link, garbled);
                    }
                    rest = &rest[length..];
                }
                Ok(None) => break,
                Err(garbled) => return self.on_garbled(link, garbled),
            }
        }
        self.peers[link.index()].keep(rest);
    }

    pub(super) fn read_response(&mut self, link: LinkId, bytes: &[u8]) -> Result<Option<usize>, Garbled> {
        let peer = &mut self.peers[link.index()];
        let handshake = &self.handshakes[peer.client as usize % HANDSHAKES];
        let length = handshake.read_response(bytes)?;
        if let Some(length) = length {
            peer.received += length as u64;
            peer.phase = Phase::Open;
            self.on_open(link);
        }
        Ok(length)
    }

    pub(super) fn on_frame(
        &mut self,
        link: LinkId,
        first: u8,
        payload: &[u8],
        seen: Sighting,
    ) -> Result<(), Garbled> {
        let peer = &mut self.peers[link.index()];
        if peer.has_close {
            let client = peer.client;
            self.checker.violate(Guarantee::G12, Fault::AfterClose, seen.at, client, || {
                format!("a frame {first:#04x} behind the server's Close")
            });
        }
        let is_control = first & 0x08 != 0;
        if is_control || (first & 0x8F != 0x80 && first & 0x80 != 0 && peer.is_between_frames()) {
            return self.on_message(link, first & 0x0F, payload, seen);
        }
        match self.peers[link.index()].assemble(first, payload)? {
            Some((opcode, message)) => self.on_message(link, opcode, &message, seen),
            None => Ok(()),
        }
    }

    pub(super) fn on_message(
        &mut self,
        link: LinkId,
        opcode: u8,
        payload: &[u8],
        seen: Sighting,
    ) -> Result<(), Garbled> {
        let digest = Digest::of(payload);
        self.trace.digest.absorb(digest);
        let peer = &mut self.peers[link.index()];
        let client = peer.client;
        if matches!(opcode, opcode::TEXT | opcode::BINARY) {
            peer.observed.absorb(digest);
        }
        let received = codec::interpret(opcode, payload)?;
        match &received {
            Received::Push(text) => self.checker.on_push(peer, Some(text), seen),
            Received::Echo(text) => self.checker.on_echo(peer, text, seen),
            Received::Ping(payload) => {
                self.compose_frame(link, opcode::PONG, payload);
                self.transmit(link);
            }
            Received::Pong(payload) => self.on_pong(link, payload),
            Received::Close(code) => self.on_server_close(link, *code),
            Received::Binary => {
                self.checker.violate(Guarantee::G9, Fault::Unexpected, seen.at, client, || {
                    "a binary message from the server".to_owned()
                })
            }
            Received::Unknown(text) => {
                self.checker.violate(Guarantee::G8, Fault::Unexpected, seen.at, client, || {
                    format!("a text that is no reply and no push: {:?}", String::from_utf8_lossy(text))
                });
            }
        }
        self.tell(link, |line| line.push_str(&describe(&received)));
        Ok(())
    }

    pub(super) fn on_pong(&mut self, link: LinkId, payload: &[u8]) {
        let peer = &mut self.peers[link.index()];
        if peer.ping != 0 && payload == peer.ping.to_be_bytes() {
            peer.ping = 0;
            self.checker.exercise(Guarantee::G13);
        } else {
            let client = peer.client;
            self.checker.violate(Guarantee::G13, Fault::WrongEcho, self.net.now, client, || {
                format!("a pong with {payload:?}, which answers no ping")
            });
        }
    }

    pub(super) fn on_garbled(&mut self, link: LinkId, garbled: Garbled) {
        let client = self.peers[link.index()].client;
        let is_refused = self.peers[link.index()].phase == Phase::Handshake;
        if is_refused && self.checker.is_draining() {
            return self.depart(link, Departure::Reset);
        }
        self.checker.violate(Guarantee::G5, Fault::Garbled, self.net.now, client, || garbled.0.to_owned());
        self.depart(link, Departure::Reset);
    }

    pub(super) fn on_server_close(&mut self, link: LinkId, code: Option<u16>) {
        let now = self.net.now;
        let peer = &mut self.peers[link.index()];
        peer.has_close = true;
        let client = peer.client;
        if peer.phase != Phase::Open {
            return;
        }
        if self.checker.is_draining() {
            if code == Some(1001) {
                self.checker.exercise(Guarantee::G14);
            } else {
                self.checker.violate(Guarantee::G14, Fault::WrongClose, now, client, || {
                    format!("the server shut down with a Close of {code:?}; due was 1001")
                });
            }
        } else if !peer.may_be_ended {
            self.checker.violate(Guarantee::G3, Fault::Dropped, now, client, || {
                format!("the server closed the connection with {code:?}")
            });
        }
        self.peers[link.index()].phase = Phase::Closing;
        self.compose_close(link, code.unwrap_or(1000));
        self.transmit(link);
    }

    /// The client sees the end of the server's stream, and ends its own.
    pub(super) fn on_client_end(&mut self, link: LinkId, end: End) {
        if self.net.links[link.index()].is_client_gone {
            return;
        }
        let peer = &self.peers[link.index()];
        let client = peer.client;
        let is_expected = peer.has_close || peer.phase == Phase::Closing || peer.may_be_ended;
        if !is_expected {
            let guarantee = if self.checker.is_draining() { Guarantee::G14 } else { Guarantee::G3 };
            self.checker.violate(guarantee, Fault::Dropped, self.net.now, client, || {
                format!("the server ended the connection without a Close ({end:?})")
            });
        }
        self.tell(link, |line| line.push_str(if end == End::Finished { "end of stream" } else { "reset" }));
        self.net.end_to_server(link, End::Finished);
        self.leave(link);
        if !self.checker.is_draining() && self.is_current(link) {
            self.return_later(client);
        }
    }
}

/// A frame in words.
fn describe(received: &Received<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match received {
        Received::Binary => "binary".to_owned(),
        Received::Close(code) => format!("close {code:?}"),
        Received::Echo(bytes) => format!("echo of {}", text(bytes)),
        Received::Ping(_) => "ping".to_owned(),
        Received::Pong(_) => "pong".to_owned(),
        Received::Push(bytes) | Received::Unknown(bytes) => text(bytes),
    }
}
