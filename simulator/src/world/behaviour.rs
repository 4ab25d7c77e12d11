//! What clients do of their own accord.

use super::{HANDSHAKES, World};
use crate::client::{Alarm, Departure};
use crate::codec::{self, opcode};
use crate::link::{Link, LinkId};
use crate::model::Windows;
use crate::network::{End, Kind};
use crate::peer::{Peer, Phase};
use crate::target::Target;
use crate::text::Text;

impl<T: Target> World<T> {
    pub(super) fn on_alarm(&mut self, client: u32, alarm: Alarm, epoch: u32) {
        let state = &self.clients[client as usize];
        if state.epoch != epoch || self.checker.is_draining() {
            return;
        }
        let link = LinkId(state.link);
        match alarm {
            Alarm::Connect => self.connect(client),
            _ if self.peers[link.index()].phase != Phase::Open => {}
            Alarm::Flip => self.flip(link),
            Alarm::Heartbeat => self.beat(link),
            Alarm::Restart => {
                let departure = self.clients[client as usize].next_departure();
                self.depart(link, departure);
                self.return_later(client);
            }
        }
    }

    pub(super) fn connect(&mut self, client: u32) {
        let now = self.net.now;
        let state = &mut self.clients[client as usize];
        state.epoch += 1;
        let epoch = state.epoch;
        let rng = self.links.split(u64::from(client) << 32 | u64::from(epoch));
        let link = self.net.open_link(Link::draw(&self.scenario.links, rng));
        self.clients[client as usize].link = link.0;
        let request = &self.handshakes[client as usize % HANDSHAKES].request;
        let windows = Windows::new(now, request.len() as u64, self.checker.grid.newest(now));
        let peer = Peer::new(client, epoch, windows, request.len() as u64, now);
        match self.peers.get_mut(link.index()) {
            Some(place) => *place = peer,
            None => self.peers.push(peer),
        }
        let at = self.net.links[link.index()].up_end(now);
        self.net.schedule(at, link.0, Kind::Accept, 0, 0);
        let request = std::mem::take(&mut self.handshakes[client as usize % HANDSHAKES].request);
        self.net.send_to_server(link, &request);
        self.handshakes[client as usize % HANDSHAKES].request = request;
        self.tell(link, |line| line.push_str("connects"));
    }

    pub(super) fn on_open(&mut self, link: LinkId) {
        let now = self.net.now;
        let client = self.peers[link.index()].client;
        self.compose(link, Text::Hello);
        if !self.clients[client as usize].wants_push {
            self.compose(link, Text::Unsubscribe);
        }
        self.transmit(link);
        let state = &mut self.clients[client as usize];
        let app = &self.scenario.app;
        if let Some(heartbeat) = app.heartbeat {
            self.net.schedule(now + heartbeat, client, Kind::Client, Alarm::Heartbeat as u32, state.epoch);
        }
        if let Some(at) = state.next_restart(app, now) {
            self.net.schedule(at, client, Kind::Client, Alarm::Restart as u32, state.epoch);
        }
        self.schedule_flip(link);
    }

    pub(super) fn schedule_flip(&mut self, link: LinkId) {
        let client = self.peers[link.index()].client;
        let latency = self.net.links[link.index()].latency();
        let state = &mut self.clients[client as usize];
        let next = state.next_flip(&self.scenario.app, &self.checker.grid, latency, self.net.now);
        if let Some(at) = next {
            self.net.schedule(at, client, Kind::Client, Alarm::Flip as u32, state.epoch);
        }
    }

    /// Uses the switch; half of the time a fence follows in the same write.
    pub(super) fn flip(&mut self, link: LinkId) {
        let state = &mut self.clients[self.peers[link.index()].client as usize];
        state.wants_push = !state.wants_push;
        let command = if state.wants_push { Text::Subscribe } else { Text::Unsubscribe };
        let fence = state.rng.chance(500).then(|| Text::Fence(state.next_number()));
        self.compose(link, command);
        if let Some(fence) = fence {
            self.compose(link, fence);
        }
        self.transmit(link);
        self.schedule_flip(link);
    }

    /// Says that it is alive: mostly with the text, now and then with a ping of the protocol.
    pub(super) fn beat(&mut self, link: LinkId) {
        let now = self.net.now;
        let client = self.peers[link.index()].client;
        let state = &mut self.clients[client as usize];
        if state.rng.below(16) == 0 {
            let number = state.next_number();
            let peer = &mut self.peers[link.index()];
            peer.ping = number;
            peer.pinged_at = now;
            self.compose_frame(link, opcode::PING, &number.to_be_bytes());
        } else {
            self.compose(link, Text::Heartbeat);
        }
        self.transmit(link);
        if let Some(heartbeat) = self.scenario.app.heartbeat {
            let epoch = self.clients[client as usize].epoch;
            self.net.schedule(now + heartbeat, client, Kind::Client, Alarm::Heartbeat as u32, epoch);
        }
    }

    /// Adds a text to the write that [`World::transmit`] sends.
    pub(super) fn compose(&mut self, link: LinkId, text: Text) {
        let mut rendered = String::new();
        text.render(&mut rendered);
        self.compose_frame(link, opcode::TEXT, rendered.as_bytes());
        let now = self.net.now;
        let peer = &mut self.peers[link.index()];
        if peer.echoes.front().is_none() && peer.unlogged.front().is_none() {
            peer.waiting_since = now;
        }
        if self.target.attributes_log() {
            peer.unlogged.push(text);
        }
        let end = peer.sent + self.outgoing.len() as u64;
        match text.command() {
            Some(command) => peer.windows.on_command(command, end, now),
            None => peer.echoes.push(text),
        }
        self.tell(link, |line| {
            line.push_str("sends ");
            line.push_str(&rendered);
        });
    }

    pub(super) fn compose_close(&mut self, link: LinkId, code: u16) {
        self.compose_frame(link, opcode::CLOSE, &code.to_be_bytes());
    }

    pub(super) fn compose_frame(&mut self, link: LinkId, opcode: u8, payload: &[u8]) {
        let client = self.peers[link.index()].client;
        let mask = self.clients[client as usize].rng.bits() as u32;
        codec::encode(&mut self.outgoing, opcode, payload, mask);
    }

    pub(super) fn transmit(&mut self, link: LinkId) {
        let outgoing = std::mem::take(&mut self.outgoing);
        self.peers[link.index()].sent += outgoing.len() as u64;
        self.net.send_to_server(link, &outgoing);
        self.outgoing = outgoing;
        self.outgoing.clear();
    }

    /// The client ends its connection.
    pub(super) fn depart(&mut self, link: LinkId, departure: Departure) {
        let now = self.net.now;
        let close_timeout = self.scenario.server.close_timeout;
        let mut closing = close_timeout + 4 * self.scenario.links.longest_way();
        self.peers[link.index()].ended_at = now;
        self.peers[link.index()].may_be_ended = departure != Departure::Vanish;
        match departure {
            Departure::Clean => {
                self.compose_close(link, 1000);
                self.transmit(link);
                self.peers[link.index()].phase = Phase::Closing;
            }
            Departure::Abrupt => {
                self.net.end_to_server(link, End::Finished);
                self.leave(link);
            }
            Departure::Reset => {
                self.net.end_to_server(link, End::Reset);
                self.leave(link);
            }
            Departure::Vanish => {
                closing += carillon_server::hub::dead_peer_bound(&self.scenario.server);
                self.leave(link);
            }
        }
        self.tell(link, |line| line.push_str(&format!("leaves: {departure:?}")));
        let (client, epoch) = (self.peers[link.index()].client, self.peers[link.index()].epoch);
        let at = self.checker.reap_at(now, closing);
        self.net.schedule(at, link.0, Kind::Reap, client, epoch);
    }

    /// The client's end of the link is gone.
    pub(super) fn leave(&mut self, link: LinkId) {
        self.peers[link.index()].phase = Phase::Gone;
        self.net.links[link.index()].is_client_gone = true;
        self.free_if_unused(link);
    }

    pub(super) fn return_later(&mut self, client: u32) {
        let state = &mut self.clients[client as usize];
        let at = self.net.now + state.pause();
        // Timers of the connection that is over mean nothing any more.
        state.epoch += 1;
        self.net.schedule(at, client, Kind::Client, Alarm::Connect as u32, state.epoch);
    }

    pub(super) fn is_current(&self, link: LinkId) -> bool {
        let peer = &self.peers[link.index()];
        self.clients[peer.client as usize].epoch == peer.epoch
    }
}
