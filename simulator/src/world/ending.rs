//! Audits, the ends of connections, and the shutdown.

use carillon_server::Timestamp;

use super::{Outcome, World};
use crate::network::Kind;
use crate::network::link::LinkId;
use crate::oracle::connection::{Peer, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::rng::mix;
use crate::trace::Digest;
use crate::units::format_instant;
use crate::world::target::Target;

impl<T: Target> World<T> {
    pub(super) fn on_audit(&mut self, cycle: u64) {
        // An audit of a server that was restarted since.
        if self.checker.audit_at(cycle) > self.net.now {
            return;
        }
        self.checker.audit(cycle, &mut self.peers, &self.net.links, self.net.now);
        for index in 0..self.peers.len() {
            self.check_handshake(LinkId(index as u32));
            let is_served = !self.net.links[index].is_server_gone && !self.checker.is_draining();
            if self.peers[index].has_window && is_served {
                self.check_held(LinkId(index as u32), self.net.now);
            }
        }
        let next = self.checker.audit_at(cycle + 1);
        self.net.schedule(next, 0, Kind::Audit, cycle as u32 + 1, 0);
    }

    pub(super) fn on_reap(&mut self, link: LinkId, client: u32, epoch: u32) {
        if !self.is_same(link, client, epoch) || self.net.links[link.index()].is_server_gone {
            return;
        }
        let peer = &self.peers[link.index()];
        // A server that stood still has its patience anew.
        let server = &self.scenario.server;
        let patience = self.dead_bound() + 2 * server.close_timeout + server.handshake_timeout;
        let again = self.checker.paused_until() + patience;
        let has_stood_still = self.checker.paused_until() >= peer.opened_at;
        if self.is_suspended || (has_stood_still && self.net.now < again) {
            return self.net.schedule(again, link.0, Kind::Reap, client, epoch);
        }
        // Whoever still takes what was queued for it is alive, though it cannot be heard.
        let taken_until =
            self.net.links[link.index()].flow.as_ref().map_or(Timestamp::ZERO, |flow| flow.stuck_until);
        let again = taken_until + patience;
        if self.net.now < again {
            return self.net.schedule(again, link.0, Kind::Reap, client, epoch);
        }
        let is_unpunished =
            peer.offence.is_some_and(|offence| offence.close_code().is_some()) && !peer.has_close;
        let guarantee = if is_unpunished {
            Guarantee::G12
        } else if peer.has_vanished() || peer.is_mute {
            Guarantee::G13
        } else {
            Guarantee::G11
        };
        self.checker.violate(guarantee, Fault::Leaked, self.net.now, peer, || held_too_long(peer));
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

    /// Adds what a connection read to the sum, in which the order of connections does not matter.
    pub(super) fn fold_observed(&mut self, link: LinkId) {
        let peer = &mut self.peers[link.index()];
        let who = mix(u64::from(peer.client) << 32 | u64::from(peer.epoch));
        self.observed = self.observed.wrapping_add(mix(peer.observed.value() ^ who));
        peer.observed = Digest::default();
        peer.client = u32::MAX;
    }

    /// Who got well must have been served since: connected, its fence answered, and the last cycle's push there.
    pub(super) fn check_liveness(&mut self) {
        let last = self.checker.grid.newest(self.net.now);
        if self.checker.audit_at(last) > self.net.now || self.script.is_some() {
            return;
        }
        for (client, state) in self.clients.iter().enumerate().filter(|(_, state)| state.is_healed) {
            let peer = self.peers.get(state.link as usize).filter(|peer| peer.client == client as u32);
            let Some(peer) = peer.filter(|peer| peer.phase == Phase::Open && peer.epoch == state.epoch)
            else {
                let at = self.net.now;
                self.checker.violate_client(Guarantee::G3, Fault::Lost, at, client as u32, || {
                    "after the faults had healed the client could not come back".to_owned()
                });
                continue;
            };
            if u64::from(peer.windows.last_cycle) < last {
                self.checker.violate(Guarantee::G3, Fault::Lost, self.net.now, peer, || {
                    format!("after the faults had healed the push of cycle {last} is missing")
                });
            }
        }
    }

    /// Shuts the server down and sees it through (G14).
    pub(super) fn drain(&mut self) {
        let now = self.net.now;
        if !self.target.drain(&mut self.net) {
            return;
        }
        self.checker.on_drain(now);
        for index in 0..self.peers.len() {
            let link = LinkId(index as u32);
            // What is still unread behind a stalled reply need not be answered, nor what is still being worked at.
            let peer = &self.peers[index];
            let is_at_work = self.checker.is_foreign && now <= peer.taken_at + self.scenario.bounds.reply;
            let is_prompt = !is_at_work && !self.target.has_unread(link) && !self.may_be_cut(link);
            let peer = &mut self.peers[index];
            if peer.sent == peer.taken && peer.phase == Phase::Open && is_prompt {
                peer.echoes_at_drain = peer.echoes.len() as u32;
            }
        }
        self.after_server();
        let deadline = self.scenario.server.close_timeout + self.scenario.bounds.release;
        let end = now + deadline + 4 * self.scenario.links.longest_way();
        while self.step(end) {}
        for index in 0..self.net.links.len() {
            let peer = &self.peers[index];
            if peer.client != u32::MAX && !self.net.links[index].is_server_gone {
                self.checker.violate(Guarantee::G14, Fault::Leaked, self.net.now, peer, || {
                    "the server has not let go of the connection by the deadline".to_owned()
                });
            }
        }
        if let Err(detail) = self.journal.finish() {
            self.checker.violate_all(Guarantee::G15, Fault::WrongLog, self.net.now, || detail);
        }
        self.check_texts_logged();
        let census = self.target.census();
        if census.is_some_and(|census| census.connections > 0) {
            self.checker.violate_all(Guarantee::G11, Fault::Leaked, self.net.now, || {
                format!("after the last connection the server still holds {census:?}")
            });
        }
    }

    /// A server that has a log writes to it what it received. Single lines may be dropped, but not most of them.
    fn check_texts_logged(&mut self) {
        let [answered, log] =
            [Guarantee::G8, Guarantee::G15].map(|one| self.checker.score.tallies[one.index()]);
        let (answered, logged) = (answered.exercised, self.journal.plain_texts());
        if !self.target.attributes_log() && log.exercised > 0 && logged < answered / 2 {
            self.checker.violate_all(Guarantee::G15, Fault::WrongLog, self.net.now, || {
                format!("{answered} texts were answered, and {logged} of them logged")
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
            cycles: self.cycles,
            score: self.checker.score,
            digest: self.trace.digest.value(),
            observed: self.observed,
            events: self.trace.events,
            virtual_time: self.net.now.since(Timestamp::ZERO),
            record: self.record,
        }
    }
}

/// What the server has not noticed.
fn held_too_long(peer: &Peer) -> String {
    match peer.ended_at {
        Timestamp::MAX => {
            "the server still holds a connection whose client it cannot have heard for too long".to_owned()
        }
        ended_at => {
            format!("the server still holds a connection that was over at {}", format_instant(ended_at))
        }
    }
}
