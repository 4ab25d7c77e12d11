//! When the oracle checks: audits, connections that should be gone, the end of the run.

use carillon_server::Timestamp;

use super::{Outcome, World};
use crate::network::Kind;
use crate::network::link::LinkId;
use crate::oracle::connection::{Connection, Phase};
use crate::rng::mix;
use crate::trace::Digest;
use crate::world::target::Target;

impl<T: Target> World<T> {
    pub(super) fn on_audit(&mut self, cycle: u64) {
        // The server was restarted after this audit was scheduled.
        if self.checker.audit_at(cycle) > self.net.now {
            return;
        }
        let (now, is_suspended) = (self.net.now, self.is_suspended);
        self.checker.audit(cycle, &mut self.connections, &self.net.links, now);
        let has_census = self.target.census().is_some();
        for (connection, link) in self.connections.iter_mut().zip(&self.net.links) {
            self.checker.check_handshake(connection, link, is_suspended, now);
            if connection.has_window && !link.is_server_gone && !self.checker.is_draining() {
                self.checker.check_held(connection, link, has_census, now);
            }
        }
        let next = self.checker.audit_at(cycle + 1);
        self.net.schedule(next, 0, Kind::Audit, cycle as u32 + 1, 0);
    }

    pub(super) fn on_reap(&mut self, link: LinkId, client: u32, epoch: u32) {
        if !self.is_same(link, client, epoch) || self.net.links[link.index()].is_server_gone {
            return;
        }
        let (connection, state) = (&self.connections[link.index()], &self.net.links[link.index()]);
        let again = self.checker.on_unreleased(connection, state, self.is_suspended, self.net.now);
        if let Some(again) = again {
            self.net.schedule(again, link.0, Kind::Reap, client, epoch);
        }
    }

    pub(super) fn free_if_unused(&mut self, id: LinkId) {
        let link = &mut self.net.links[id.index()];
        if link.is_client_gone && link.is_server_gone && !link.is_retired {
            link.is_retired = true;
            let at = Timestamp::from_nanos(link.quiet_from().max(self.net.now).as_nanos() + 1);
            self.net.schedule(at, id.0, Kind::Free, 0, 0);
        }
    }

    pub(super) fn on_free(&mut self, link: LinkId) {
        self.fold_observed(link);
        self.net.free_link(link);
    }

    /// Adds what a connection's client has read to the sum, which does not depend on the order of connections.
    pub(super) fn fold_observed(&mut self, link: LinkId) {
        let connection = &mut self.connections[link.index()];
        let name = mix(u64::from(connection.client) << 32 | u64::from(connection.epoch));
        self.observed = self.observed.wrapping_add(mix(connection.observed.value() ^ name));
        connection.observed = Digest::default();
        connection.client = u32::MAX;
    }

    /// Tells the checker about each client whose faults have healed, once the last cycle's deliveries are complete.
    pub(super) fn check_healed(&mut self) {
        let last = self.checker.grid.newest(self.net.now);
        if self.checker.audit_at(last) > self.net.now || self.script.is_some() {
            return;
        }
        for (client, state) in self.clients.iter().enumerate().filter(|(_, state)| state.is_healed) {
            let newest = self.connections.get(state.link as usize);
            let is_open = |connection: &&Connection| {
                connection.client == client as u32
                    && connection.phase == Phase::Open
                    && connection.epoch == state.epoch
            };
            self.checker.check_healed(client as u32, newest.filter(is_open), self.net.now);
        }
    }

    /// Shuts the server down and waits for the end of the shutdown.
    pub(super) fn drain(&mut self) {
        let now = self.net.now;
        if !self.target.drain(&mut self.net) {
            return;
        }
        let has_unread = |link| self.target.has_unread(link);
        self.checker.on_drain(&mut self.connections, &self.net.links, has_unread, now);
        self.after_server();
        let deadline = self.scenario.server.close_timeout + self.scenario.bounds.release;
        let end = now + deadline + 4 * self.scenario.links.longest_way();
        while self.step(end) {}
        let census = self.target.census();
        self.checker.on_drained(&self.connections, &self.net.links, census, self.net.now);
    }

    pub(super) fn outcome(mut self) -> Outcome {
        for index in 0..self.connections.len() {
            if !self.connections[index].is_folded() {
                self.fold_observed(LinkId(index as u32));
            }
        }
        Outcome {
            cycles: self.cycles,
            score: self.checker.into_score(),
            digest: self.trace.digest.value(),
            observed: self.observed,
            events: self.trace.events,
            virtual_time: self.net.now.since(Timestamp::ZERO),
            record: self.record,
        }
    }
}
