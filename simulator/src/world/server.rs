//! Input for the server, and the server's actions other than sending.

use std::time::Duration;

use carillon_server::{Timestamp, WallTime};

use super::{Deferred, World};
use crate::network::link::End;
use crate::network::link::LinkId;
use crate::network::queue::Event;
use crate::network::{Kind, payload_of};
use crate::oracle::connection::{Phase, Refused};
use crate::world::client::Alarm;
use crate::world::target::Target;

impl<T: Target> World<T> {
    /// An event reaches the server, or waits until the server's pause ends.
    pub(super) fn on_to_server(&mut self, event: Event) {
        let is_server_gone = self.net.links[event.subject as usize].is_server_gone;
        if self.is_suspended && !is_server_gone {
            self.deferred.push(Deferred::Event(event));
        } else {
            self.dispatch_to_server(&event);
        }
    }

    fn dispatch_to_server(&mut self, event: &Event) {
        let link = LinkId(event.subject);
        match Kind::of(event) {
            Kind::Accept => self.on_accept(link),
            Kind::ToServer => self.on_server_bytes(link, event),
            _ => self.on_server_end(link, End::of(event)),
        }
    }

    fn on_accept(&mut self, link: LinkId) {
        if self.net.links[link.index()].is_server_gone {
            return;
        }
        if self.checker.is_draining() {
            // The server no longer listens.
            self.net.drop_stream(link, End::Reset);
            return self.after_server();
        }
        self.note(link, |line| line.push_str("accepts the connection"));
        self.net.links[link.index()].is_accepted = true;
        self.target.accept(link, &mut self.net);
        self.after_server();
    }

    fn on_server_bytes(&mut self, link: LinkId, event: &Event) {
        let payload = payload_of(event);
        let bytes = self.net.payloads.take(payload);
        if !self.net.links[link.index()].is_server_gone {
            self.offer(link, &bytes[event.start as usize..event.end as usize]);
        }
        self.net.payloads.put_back(payload, bytes);
    }

    /// Offers bytes to the server, after those that it refused before.
    fn offer(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(refused) = &mut self.connections[link.index()].refused {
            refused.push(bytes);
            return;
        }
        let taken = self.hand_over(link, bytes);
        if taken < bytes.len() {
            self.connections[link.index()].refused = Some(Box::new(Refused::new(&bytes[taken..])));
        }
        self.after_server();
    }

    /// Offers again what the server refused before.
    fn offer_again(&mut self, link: LinkId, mut refused: Box<Refused>) {
        let taken = self.hand_over(link, refused.rest());
        if !refused.take(taken) {
            self.connections[link.index()].refused = Some(refused);
        }
        self.after_server();
    }

    /// Hands bytes to the server, and returns how many it took.
    fn hand_over(&mut self, link: LinkId, bytes: &[u8]) -> usize {
        self.serving = Some(link);
        let taken = self.target.receive(link, bytes, &mut self.net);
        self.note(link, |line| line.push_str(&format!("{taken} bytes reach the server")));
        let connection = &mut self.connections[link.index()];
        connection.taken += taken as u64;
        connection.taken_at = self.net.now;
        self.await_effect(link);
        taken
    }

    /// Schedules the check whether a command in flight has taken effect.
    pub(super) fn await_effect(&mut self, link: LinkId) {
        let connection = &mut self.connections[link.index()];
        if !connection.windows.is_in_flight() || std::mem::replace(&mut connection.is_settling, true) {
            return;
        }
        if self.checker.is_foreign() {
            self.schedule_settle(link, self.net.now + self.scenario.bounds.reply);
        } else {
            self.settling.push(link);
        }
    }

    fn schedule_settle(&mut self, link: LinkId, at: Timestamp) {
        let connection = &mut self.connections[link.index()];
        connection.is_settling = true;
        self.net.schedule(at, link.0, Kind::Settle, connection.client, connection.epoch);
    }

    /// Settles a command on a third-party server. Such a server may wait for a timer or a database although it is
    /// idle, so what it took has certainly taken effect only when its answer is due. Before the 101 it has not begun.
    pub(super) fn on_settle(&mut self, link: LinkId, client: u32, epoch: u32) {
        if !self.is_same(link, client, epoch) || self.net.links[link.index()].is_server_gone {
            return;
        }
        let connection = &mut self.connections[link.index()];
        connection.is_settling = false;
        if connection.phase != Phase::Open || !connection.windows.is_taken(connection.taken) {
            return;
        }
        let (now, reply) = (self.net.now, self.scenario.bounds.reply);
        let stuck_until = self.net.links[link.index()].stuck_until();
        let certain_at = connection.taken_at.max(self.checker.paused_until()).max(stuck_until) + reply;
        // The server handles messages in order: it has not handled a command after a text whose echo is missing.
        let is_behind = connection.echoes.front().is_some() || self.target.has_unread(link);
        if now < certain_at || is_behind || self.is_suspended {
            let again = certain_at.max(now + reply.max(Duration::from_millis(1)));
            return self.schedule_settle(link, again);
        }
        self.settle_one(link);
    }

    fn on_server_end(&mut self, link: LinkId, end: End) {
        if self.net.links[link.index()].is_server_gone {
            return;
        }
        let name = if end == End::Finished { "end of stream" } else { "reset" };
        self.note(link, |line| line.push_str(&format!("{name} reaches the server")));
        if !self.net.links[link.index()].is_accepted {
            // The reset has overtaken the connect, so the server never sees the connection.
            self.net.drop_stream(link, End::Reset);
            return self.after_server();
        }
        match end {
            End::Finished if self.connections[link.index()].refused.is_some() => {
                self.connections[link.index()].is_end_refused = true;
            }
            End::Finished => self.target.end(link, &mut self.net),
            End::Reset => self.target.reset(link, &mut self.net),
        }
        self.after_server();
    }

    /// Handles what the server has done to the network besides sending.
    pub(super) fn after_server(&mut self) {
        self.read_log();
        self.serving = None;
        while let Some(link) = self.net.dropped.pop() {
            self.on_dropped(link);
        }
        while let Some(link) = self.net.resumed.pop() {
            if let Some(refused) = self.connections[link.index()].refused.take()
                && !self.net.links[link.index()].is_server_gone
            {
                self.offer_again(link, refused);
                self.end_after_refused(link);
            }
        }
    }

    /// Ends the client's stream once the server has taken all of it.
    fn end_after_refused(&mut self, link: LinkId) {
        let connection = &mut self.connections[link.index()];
        if connection.is_end_refused && connection.refused.is_none() {
            connection.is_end_refused = false;
            self.on_server_end(link, End::Finished);
        }
    }

    /// The server has run idle: all input that it has taken has taken effect.
    pub(super) fn settle(&mut self) {
        for link in std::mem::take(&mut self.settling) {
            if self.target.has_unread(link) && !self.net.links[link.index()].is_server_gone {
                self.settling.push(link);
                continue;
            }
            self.connections[link.index()].is_settling = false;
            self.settle_one(link);
        }
    }

    /// All input that the server took from this client has taken effect.
    fn settle_one(&mut self, link: LinkId) {
        let (now, state) = (self.net.now, &self.net.links[link.index()]);
        if state.flow.as_ref().is_some_and(|flow| flow.is_blocked) {
            // A push that was due before the command may still wait for the link: only the fence settles the command.
            return;
        }
        let connection = &mut self.connections[link.index()];
        if let Some(asked_at) = connection.windows.on_idle(connection.taken, state.down_sent, now) {
            self.checker.on_settled(&connection.windows, asked_at, now);
            let state = connection.windows.state;
            self.tell(link, |line| line.push_str(&format!("is settled: {state:?}")));
        }
    }

    /// Tells the server that a link that refused bytes has room again.
    pub(super) fn make_writable(&mut self, link: LinkId) {
        if self.is_suspended {
            return self.deferred.push(Deferred::Writable(link));
        }
        self.serving = None;
        self.target.writable(link, &mut self.net);
        self.await_effect(link);
        self.after_server();
    }

    // Events of the server as a whole.

    pub(super) fn suspend(&mut self, span: Duration) {
        let until = self.net.now + span;
        self.is_suspended = true;
        self.checker.on_pause(self.net.now, until);
        self.net.schedule(until, 0, Kind::Resume, 0, 0);
    }

    /// Ends the server's pause. The input of the meantime reaches the server first, as from a kernel's buffers.
    pub(super) fn on_resume(&mut self) {
        self.is_suspended = false;
        for deferred in std::mem::take(&mut self.deferred) {
            match deferred {
                Deferred::Event(event) => self.dispatch_to_server(&event),
                Deferred::Writable(link) if !self.net.links[link.index()].is_server_gone => {
                    self.make_writable(link)
                }
                Deferred::Writable(_) => {}
            }
        }
        self.target.resume(&mut self.net);
        self.after_server();
    }

    pub(super) fn set_clock(&mut self, seconds: i64) {
        self.read_log();
        let wall = self.net.wall_origin.as_unix_nanos() + seconds * 1_000_000_000;
        self.net.wall_origin = WallTime::from_unix_nanos(wall);
        self.checker.on_set_clock(self.net.now, seconds);
        self.target.set_clock(&mut self.net);
    }

    /// Ends the server at once and starts it again.
    pub(super) fn restart(&mut self) {
        if !self.target.restart(&mut self.net) {
            return;
        }
        self.checker.on_restart(self.net.now);
        for index in 0..self.net.links.len() {
            let link = LinkId(index as u32);
            if self.connections[index].phase != Phase::Gone {
                self.connections[index].may_be_ended = true;
                self.connections[index].awaits_close = false;
            }
            if !self.net.links[index].is_server_gone {
                self.net.drop_stream(link, End::Reset);
            }
        }
        self.settling.clear();
        self.connections.iter_mut().for_each(|connection| connection.is_settling = false);
        self.after_server();
        let cycle = self.checker.grid.newest(self.net.now) + 1;
        let at = self.checker.audit_at(cycle);
        self.net.schedule(at, 1, Kind::Audit, cycle as u32, 0);
    }

    fn on_dropped(&mut self, link: LinkId) {
        let now = self.net.now;
        self.note(link, |line| line.push_str("drops the connection"));
        let connection = &mut self.connections[link.index()];
        self.checker.on_released(connection, now);
        let (client, is_offender) = (connection.client, connection.offence.is_some());
        let is_current = self.is_current(link);
        let state = &self.net.links[link.index()];
        let sees_end = !state.is_down_lost && !state.flow.as_ref().is_some_and(|flow| flow.has_unread());
        if is_offender && !state.is_client_gone {
            if !sees_end {
                self.leave(link);
                if is_current {
                    self.return_later(client);
                }
            }
        } else if state.flow.as_ref().is_some_and(|flow| flow.has_unread()) && is_current {
            // The client does not read, so it does not see the end; it gives up later.
            self.set_alarm(client, Alarm::Restart, now + Duration::from_secs(30));
        }
        self.free_if_unused(link);
    }

    /// Hands the server's new log lines to the checker.
    fn read_log(&mut self) {
        let now = self.net.now();
        let serving = self.serving.map(|link| &mut self.connections[link.index()]);
        self.checker.on_log(&mut self.net.log, serving, now);
    }
}
