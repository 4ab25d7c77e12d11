//! Audits, the ends of connections, and the shutdown.

use carillon_server::Timestamp;

use super::{Outcome, World};
use crate::checker::Fault;
use crate::guarantee::Guarantee;
use crate::link::LinkId;
use crate::network::Kind;
use crate::rng::mix;
use crate::target::Target;
use crate::trace::Digest;

impl<T: Target> World<T> {
    pub(super) fn on_audit(&mut self, cycle: u64) {
        self.checker.audit(cycle, &mut self.peers, self.net.now);
        let next = self.checker.audit_at(cycle + 1);
        self.net.schedule(next, 0, Kind::Audit, cycle as u32 + 1, 0);
    }

    pub(super) fn on_reap(&mut self, link: LinkId, client: u32, epoch: u32) {
        let peer = &self.peers[link.index()];
        let is_same = peer.client == client && peer.epoch == epoch;
        if is_same && !self.net.links[link.index()].is_server_gone {
            let guarantee = if peer.may_be_ended { Guarantee::G11 } else { Guarantee::G13 };
            let ended_at = peer.ended_at;
            self.checker.violate(guarantee, Fault::Leaked, self.net.now, client, || {
                format!("the server still holds a connection that ended at {ended_at}")
            });
        }
    }

    pub(super) fn free_if_unused(&mut self, id: LinkId) {
        let link = &self.net.links[id.index()];
        if link.is_client_gone && link.is_server_gone {
            let at = Timestamp::from_nanos(link.quiet_from().max(self.net.now).as_nanos() + 1);
            self.net.schedule(at, id.0, Kind::Free, 0, 0);
        }
    }

    pub(super) fn on_free(&mut self, link: LinkId) {
        self.fold_observed(link);
        self.net.free_link(link);
    }

    /// Adds what a connection read to the sum, in which the order of connections does not matter.
    pub(super) fn fold_observed(&mut self, link: LinkId) {
        let peer = &mut self.peers[link.index()];
        let who = mix(u64::from(peer.client) << 32 | u64::from(peer.epoch));
        self.observed = self.observed.wrapping_add(mix(peer.observed.value() ^ who));
        peer.observed = Digest::default();
        peer.client = u32::MAX;
    }

    /// Shuts the server down and sees it through (G14).
    pub(super) fn drain(&mut self) {
        let now = self.net.now;
        if !self.target.drain(&mut self.net) {
            return;
        }
        self.checker.on_drain(now);
        self.after_server();
        let deadline = self.scenario.server.close_timeout + self.scenario.bounds.release;
        let end = now + deadline + 4 * self.scenario.links.longest_way();
        while self.step(end) {}
        for index in 0..self.net.links.len() {
            let peer = &self.peers[index];
            if peer.client != u32::MAX && !self.net.links[index].is_server_gone {
                let client = peer.client;
                self.checker.violate(Guarantee::G14, Fault::Leaked, self.net.now, client, || {
                    "the server has not let go of the connection by the deadline".to_owned()
                });
            }
        }
        if let Err(detail) = self.journal.finish() {
            self.checker.violate(Guarantee::G15, Fault::WrongLog, self.net.now, 0, || detail);
        }
        let census = self.target.census();
        if census.is_some_and(|census| census.connections > 0) {
            self.checker.violate(Guarantee::G11, Fault::Leaked, self.net.now, 0, || {
                format!("after the last connection the server still holds {census:?}")
            });
        }
    }

    pub(super) fn outcome(mut self) -> Outcome {
        for index in 0..self.peers.len() {
            if self.peers[index].client != u32::MAX {
                self.fold_observed(LinkId(index as u32));
            }
        }
        Outcome {
            cycles: self.checker.grid.newest(Timestamp::ZERO + self.scenario.duration),
            score: self.checker.score,
            digest: self.trace.digest.value(),
            observed: self.observed,
            events: self.trace.events,
            virtual_time: self.net.now.since(Timestamp::ZERO),
        }
    }
}
