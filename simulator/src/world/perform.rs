//! Performs verbs: sends bytes, opens and breaks links.

use std::time::Duration;

use super::{HANDSHAKES, ScriptLine, World};
use crate::network::Kind;
use crate::network::link::End;
use crate::network::link::LinkPlan;
use crate::network::link::Reading;
use crate::network::link::{Link, LinkId, Unread};
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::coverage::Hazard;
use crate::oracle::model::Windows;
use crate::scenario::Behaviour;
use crate::script::verb::{Departure, Utterance, Verb};
use crate::wire::codec::{self, opcode};
use crate::wire::offence::Offence;
use crate::wire::text::Text;
use crate::world::target::Target;

impl<T: Target> World<T> {
    /// Lets a client perform a verb, and records it if the run is recorded.
    pub(super) fn perform(&mut self, client: u32, verb: Verb) {
        if let Some(record) = &mut self.record {
            record.push(ScriptLine::Client { at: self.net.now, client, verb: verb.clone() });
        }
        if let Verb::Connect(plan) = verb {
            return self.connect(client, &plan);
        }
        let link = LinkId(self.clients[client as usize].link);
        match verb {
            Verb::Connect(_) => {}
            Verb::Leave(departure) => self.depart(link, departure),
            Verb::Offend(offence) => self.offend(link, offence),
            Verb::Read(reading) => self.set_reading(link, reading),
            Verb::Say(utterances) => {
                for utterance in utterances {
                    self.compose(link, utterance);
                }
                self.transmit(link);
            }
        }
    }

    fn connect(&mut self, client: u32, plan: &LinkPlan) {
        let now = self.net.now;
        let state = &mut self.clients[client as usize];
        state.epoch += 1;
        let epoch = state.epoch;
        let link = self.net.open_link(Link::new(plan));
        self.clients[client as usize].link = link.0;
        let request = self.handshakes[client as usize % HANDSHAKES].request.len() as u64;
        let windows = Windows::new(now, request, self.checker.newest_past(now));
        let mut connection = Connection::new(client, epoch, windows, request, now);
        connection.has_window = plan.window.is_some();
        if plan.sliced > 0 {
            connection.met.add(Hazard::Slicer);
        }
        if self.clients[client as usize].behaviour == Behaviour::Flooder {
            connection.met.add(Hazard::Flood);
        }
        if epoch > 2 {
            connection.met.add(Hazard::Comeback);
        }
        match self.connections.get_mut(link.index()) {
            Some(place) => *place = connection,
            None => self.connections.push(connection),
        }
        let at = self.net.links[link.index()].up_end(now);
        self.net.schedule(at, link.0, Kind::Accept, 0, 0);
        let back = at + self.net.links[link.index()].latency();
        self.net.schedule(back, link.0, Kind::Dial, client, epoch);
        self.tell(link, |line| line.push_str("connects"));
    }

    /// The link is established: the client sends its upgrade request, or something else.
    pub(super) fn on_dial(&mut self, link: LinkId, client: u32, epoch: u32) {
        let connection = &self.connections[link.index()];
        if !self.is_same(link, client, epoch) || connection.phase != Phase::Handshake {
            return;
        }
        if let Some(offence) = connection.offence {
            let bytes = spoilt_request(offence, &self.scenario.server.path);
            self.connections[link.index()].sent = bytes.len() as u64;
            self.note(link, |line| {
                line.push_str(&format!("request of {} bytes leaves the client", bytes.len()))
            });
            return self.net.send_to_server(link, bytes.as_bytes());
        }
        let place = client as usize % HANDSHAKES;
        let request = std::mem::take(&mut self.handshakes[place].request);
        self.note(link, |line| {
            line.push_str(&format!("request of {} bytes leaves the client", request.len()))
        });
        self.net.send_to_server(link, &request);
        self.handshakes[place].request = request;
    }

    /// Adds an utterance to the write that [`World::transmit`] sends.
    fn compose(&mut self, link: LinkId, utterance: Utterance) {
        let now = self.net.now;
        match utterance {
            Utterance::Binary => self.compose_frame(link, opcode::BINARY, b"unsubscribe"),
            Utterance::Ping(number) => {
                let connection = &mut self.connections[link.index()];
                connection.ping = number;
                connection.pinged_at = now;
                self.compose_frame(link, opcode::PING, &number.to_be_bytes());
            }
            Utterance::Pong => self.compose_frame(link, opcode::PONG, b"unasked"),
            Utterance::Fragmented(text, pieces) => self.compose_text(link, text, u32::from(pieces)),
            Utterance::Text(text) => self.compose_text(link, text, 1),
        }
        self.tell(link, |line| {
            line.push_str(&format!("sends {}", crate::script::line::utterance_text(utterance)))
        });
    }

    fn compose_text(&mut self, link: LinkId, text: Text, pieces: u32) {
        let mut rendered = std::mem::take(&mut self.rendered);
        text.append_to(&mut rendered);
        self.compose_pieces(link, rendered.as_bytes(), pieces as usize);
        rendered.clear();
        self.rendered = rendered;
        let now = self.net.now;
        let end = self.connections[link.index()].sent + self.outgoing.len() as u64;
        let attributes_log = self.target.attributes_log();
        let connection = &mut self.connections[link.index()];
        if connection.echoes.front().is_none() && connection.unlogged.front().is_none() {
            connection.waiting_since = now;
        }
        if attributes_log {
            connection.unlogged.push(text);
        }
        match text.command() {
            Some(command) => connection.windows.on_command(command, end, now),
            None => {
                connection.expect_echo(text);
                connection.windows.on_text(connection.echoes.len());
            }
        }
    }

    /// Adds a text in fragments of about equal length, which may split a character.
    fn compose_pieces(&mut self, link: LinkId, bytes: &[u8], pieces: usize) {
        for piece in 0..pieces {
            let (start, end) = (bytes.len() * piece / pieces, bytes.len() * (piece + 1) / pieces);
            let opcode = if piece == 0 { opcode::TEXT } else { opcode::CONTINUATION };
            let is_final = if piece + 1 == pieces { 0x80 } else { 0 };
            self.compose_raw(link, is_final | opcode, &bytes[start..end]);
        }
    }

    pub(super) fn compose_frame(&mut self, link: LinkId, opcode: u8, payload: &[u8]) {
        self.compose_raw(link, 0x80 | opcode, payload);
    }

    fn compose_raw(&mut self, link: LinkId, first: u8, payload: &[u8]) {
        let client = self.connections[link.index()].client;
        let mask = self.clients[client as usize].rng.bits() as u32;
        codec::encode_raw(&mut self.outgoing, first, payload, mask);
    }

    pub(super) fn transmit(&mut self, link: LinkId) {
        let outgoing = std::mem::take(&mut self.outgoing);
        self.connections[link.index()].sent += outgoing.len() as u64;
        self.note(link, |line| {
            line.push_str(&format!("write of {} bytes leaves the client", outgoing.len()))
        });
        self.net.send_to_server(link, &outgoing);
        self.outgoing = outgoing;
        self.outgoing.clear();
    }

    fn set_reading(&mut self, link: LinkId, reading: Reading) {
        let Some(flow) = &mut self.net.links[link.index()].flow else { return };
        flow.reading = reading;
        let met = &mut self.connections[link.index()].met;
        match reading {
            Reading::AtOnce => {}
            Reading::Never => met.add(Hazard::Timeout),
            Reading::Slowly(_) => met.add(Hazard::Bandwidth),
        }
        self.tell(link, |line| {
            line.push_str(&format!("reads {}", crate::script::line::reading_text(reading)))
        });
        self.read_held(link);
    }

    /// The client breaks a rule and waits for the server's reaction.
    fn offend(&mut self, link: LinkId, offence: Offence) {
        if offence.is_before_handshake() {
            // The client has sent nothing yet: it sends the offence in place of its request.
            return self.condemn(link, offence);
        }
        self.compose_offence(link, offence);
        self.transmit(link);
        self.condemn(link, offence);
    }

    fn condemn(&mut self, link: LinkId, offence: Offence) {
        let now = self.net.now;
        let connection = &mut self.connections[link.index()];
        connection.offence = Some(offence);
        connection.may_be_ended = true;
        connection.ended_at = now;
        connection.met.add(Hazard::Offence);
        let patience = self.checker.patience_with(offence);
        self.schedule_reap(link, patience);
        self.tell(link, |line| line.push_str(&format!("offends: {}", offence.name())));
    }

    fn compose_offence(&mut self, link: LinkId, offence: Offence) {
        let client = self.connections[link.index()].client;
        let rng = &mut self.clients[client as usize].rng;
        let largest = self.scenario.server.max_message;
        offence.encode(&mut self.outgoing, largest, || rng.bits() as u32);
    }

    /// The client ends its connection, or the connection fails.
    pub(super) fn depart(&mut self, link: LinkId, departure: Departure) {
        self.tell(link, |line| line.push_str(&format!("leaves: {}", departure.name())));
        self.connections[link.index()].met.add(hazard_of(departure));
        match departure {
            Departure::LoseDown => self.lose_down(link),
            Departure::LoseUp => self.lose_up(link),
            _ => self.end_connection(link, departure),
        }
    }

    /// What the server sends is lost from now on.
    fn lose_down(&mut self, link: LinkId) {
        self.connections[link.index()].may_be_ended = true;
        self.net.links[link.index()].is_down_lost = true;
    }

    /// What the client sends is lost from now on, and the server must detect that.
    fn lose_up(&mut self, link: LinkId) {
        let connection = &mut self.connections[link.index()];
        connection.is_mute = true;
        connection.forget_echoes();
        let state = &mut self.net.links[link.index()];
        state.is_up_lost = true;
        // A client that still reads what was queued for it may count as alive for that time.
        let dead = self.checker.dead_bound();
        let patience = if state.has_ever_stalled() { 2 * dead } else { dead };
        self.schedule_reap(link, patience);
    }

    fn end_connection(&mut self, link: LinkId, departure: Departure) {
        let connection = &mut self.connections[link.index()];
        connection.ended_at = self.net.now;
        connection.may_be_ended = departure != Departure::Vanish;
        match departure {
            Departure::Clean => {
                self.compose_frame(link, opcode::CLOSE, &1000u16.to_be_bytes());
                self.transmit(link);
                let connection = &mut self.connections[link.index()];
                connection.awaits_close = connection.phase == Phase::Open && !connection.is_mute;
                connection.phase = Phase::Closing;
            }
            Departure::HalfClose => {
                self.net.end_to_server(link, End::Finished);
                self.connections[link.index()].phase = Phase::Closing;
            }
            Departure::Quit => {
                // As in TCP: closing a socket with unread input resets the connection.
                let flow = &self.net.links[link.index()].flow;
                let has_unread = flow.as_ref().is_some_and(|flow| flow.has_unread());
                self.net.end_to_server(link, if has_unread { End::Reset } else { End::Finished });
                self.leave(link);
            }
            Departure::Reset => {
                self.net.end_to_server(link, End::Reset);
                self.leave(link);
            }
            Departure::LoseDown | Departure::LoseUp | Departure::Vanish => self.leave(link),
        }
        // A client that does not read, or cannot be heard, is detected like a dead client.
        let is_detected_late = departure == Departure::Vanish
            || self.connections[link.index()].is_mute
            || self.net.links[link.index()].has_ever_stalled();
        let patience = if is_detected_late { self.checker.dead_bound() } else { Duration::ZERO };
        self.schedule_reap(link, patience);
    }

    /// Drops the client's end of the link.
    pub(super) fn leave(&mut self, link: LinkId) {
        self.connections[link.index()].phase = Phase::Gone;
        self.net.links[link.index()].is_client_gone = true;
        self.free_if_unused(link);
    }

    /// A slow client reads its next portion.
    pub(super) fn on_read(&mut self, link: LinkId, client: u32, epoch: u32) {
        if !self.is_same(link, client, epoch) {
            return;
        }
        if let Some(flow) = &mut self.net.links[link.index()].flow {
            flow.is_read_scheduled = false;
        }
        self.read_held(link);
    }

    /// Bytes have arrived at a client that does not always read at once.
    pub(super) fn on_slow_bytes(&mut self, link: LinkId, piece: Unread) {
        let Some(flow) = &mut self.net.links[link.index()].flow else { return };
        if flow.reading == Reading::AtOnce && flow.is_flowing() {
            flow.forget(piece.end - piece.start);
            self.target.made_room(link, &mut self.net);
            return self.read_payload(link, piece);
        }
        flow.arrive(piece);
        match flow.reading {
            Reading::AtOnce => self.read_held(link),
            Reading::Never => {}
            Reading::Slowly(_) => self.schedule_read(link),
        }
    }

    /// Lets the client read one portion of the bytes that have arrived.
    pub(super) fn read_held(&mut self, link: LinkId) {
        let mut allowance = match self.net.links[link.index()].flow.as_ref().map(|flow| flow.reading) {
            Some(Reading::AtOnce) => u32::MAX,
            Some(Reading::Slowly(bytes)) => bytes,
            Some(Reading::Never) | None => return,
        };
        if let Some(flow) = &mut self.net.links[link.index()].flow {
            // Set this before the bytes are judged: they may be the server's reaction to a client that did not read.
            flow.has_held |= flow.has_unread();
        }
        while allowance > 0
            && !self.net.links[link.index()].is_client_gone
            && let Some((piece, is_last)) =
                self.net.links[link.index()].flow.as_mut().and_then(|flow| flow.read(allowance))
        {
            allowance -= piece.end - piece.start;
            if !is_last {
                self.net.payloads.retain(piece.payload);
            }
            self.read_payload(link, piece);
        }
        self.after_read(link);
    }

    fn after_read(&mut self, id: LinkId) {
        let now = self.net.now;
        let link = &mut self.net.links[id.index()];
        let (is_server_gone, is_client_gone) = (link.is_server_gone, link.is_client_gone);
        let Some(flow) = &mut link.flow else { return };
        flow.stuck_until = now;
        if flow.is_blocked && flow.room() > 0 && !is_server_gone {
            self.make_writable(id);
        } else if !is_server_gone {
            self.target.made_room(id, &mut self.net);
        }
        let Some(flow) = &mut self.net.links[id.index()].flow else { return };
        if flow.has_unread() {
            self.schedule_read(id);
        } else if let Some(end) = flow.pending_end.take()
            && !is_client_gone
        {
            self.on_client_end(id, end);
        }
    }

    /// Schedules a slow client's next read.
    fn schedule_read(&mut self, id: LinkId) {
        let at = self.net.now + Duration::from_secs(1);
        let Some(flow) = &mut self.net.links[id.index()].flow else { return };
        if !flow.is_read_scheduled && matches!(flow.reading, Reading::Slowly(_)) {
            flow.is_read_scheduled = true;
            let connection = &self.connections[id.index()];
            self.net.schedule(at, id.0, Kind::Read, connection.client, connection.epoch);
        }
    }

    pub(super) fn is_same(&self, link: LinkId, client: u32, epoch: u32) -> bool {
        let connection = &self.connections[link.index()];
        connection.client == client && connection.epoch == epoch
    }

    /// Whether this is still the client's newest connection.
    pub(super) fn is_current(&self, link: LinkId) -> bool {
        let connection = &self.connections[link.index()];
        self.clients.get(connection.client as usize).is_some_and(|client| client.epoch == connection.epoch)
    }

    fn schedule_reap(&mut self, link: LinkId, patience: Duration) {
        let at = self.checker.release_due(self.net.now, patience);
        let connection = &self.connections[link.index()];
        self.net.schedule(at, link.0, Kind::Reap, connection.client, connection.epoch);
    }
}

/// The bytes that the client sends in place of its request.
fn spoilt_request(offence: Offence, path: &str) -> String {
    let host = "Host: carillon.test\r\nUpgrade: websocket\r\n";
    match offence {
        Offence::StalledHandshake => format!("GET {path} HTTP/1.1\r\n{host}"),
        Offence::WrongPath => format!(
            "GET /elsewhere HTTP/1.1\r\n{host}Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        _ => "\u{16}\u{3}\u{1} rubbish\r\n\r\n".to_owned(),
    }
}

fn hazard_of(departure: Departure) -> Hazard {
    match departure {
        Departure::Clean | Departure::Quit => Hazard::Comeback,
        Departure::HalfClose => Hazard::HalfClose,
        Departure::LoseDown | Departure::LoseUp => Hazard::HalfOpen,
        Departure::Reset => Hazard::ResetPeer,
        Departure::Vanish => Hazard::Vanish,
    }
}
