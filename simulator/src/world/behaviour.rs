//! The clients' own actions: alarms become verbs.

use std::time::Duration;

use carillon_server::Timestamp;

use super::World;
use crate::network::Kind;
use crate::network::link::LinkId;
use crate::oracle::connection::Phase;
use crate::scenario::Behaviour;
use crate::script::verb::{Departure, Utterance, Verb};
use crate::world::client::{Alarm, View};
use crate::world::target::Target;

impl<T: Target> World<T> {
    pub(super) fn on_alarm(&mut self, client: u32, alarm: Alarm, epoch: u32) {
        let state = &self.clients[client as usize];
        if state.epoch != epoch || self.checker.is_draining() {
            return;
        }
        if alarm == Alarm::Connect {
            return self.arrive(client);
        }
        let connection = &self.connections[state.link as usize];
        if connection.phase != Phase::Open
            || connection.is_mute
            || connection.offence.is_some()
            || state.is_healed
        {
            return;
        }
        let link = LinkId(state.link);
        match alarm {
            Alarm::Act => self.act(link),
            Alarm::Connect => {}
            Alarm::Fault => {
                let verb = self.clients[client as usize].fault();
                self.do_and_return(client, verb);
                self.schedule_fault(client);
            }
            Alarm::Flip => {
                let utterances = self.clients[client as usize].flip();
                self.perform(client, Verb::Say(utterances));
                self.schedule_flip(link);
            }
            Alarm::Heartbeat => {
                let beat = self.clients[client as usize].beat();
                self.perform(client, Verb::Say(vec![beat]));
                self.schedule_heartbeat(client);
            }
            Alarm::Restart => {
                let departure = self.clients[client as usize].restart();
                self.do_and_return(client, Verb::Leave(departure));
            }
        }
    }

    /// Starts what the client does on an open connection.
    pub(super) fn on_open(&mut self, link: LinkId) {
        if self.script.is_some() {
            return;
        }
        let client = self.connections[link.index()].client;
        let greeting = self.clients[client as usize].greeting();
        if !greeting.is_empty() {
            self.perform(client, Verb::Say(greeting));
        }
        if matches!(
            self.clients[client as usize].behaviour,
            Behaviour::App | Behaviour::SlowReader | Behaviour::Switcher
        ) {
            self.schedule_heartbeat(client);
        }
        let now = self.net.now;
        if let Some(at) = self.clients[client as usize].next_restart(&self.scenario.app, now) {
            self.set_alarm(client, Alarm::Restart, at);
        }
        self.schedule_fault(client);
        self.schedule_flip(link);
        self.schedule_act(link);
    }

    /// Lets the client return some time after its connection has ended.
    pub(super) fn return_later(&mut self, client: u32) {
        let pause = self.clients[client as usize].pause();
        self.return_in(client, pause);
    }

    pub(super) fn return_in(&mut self, client: u32, pause: Duration) {
        if self.script.is_some() || self.checker.is_draining() {
            return;
        }
        // From now on the timers of the ended connection are ignored.
        self.clients[client as usize].epoch += 1;
        let at = self.net.now + pause;
        self.set_alarm(client, Alarm::Connect, at);
    }

    pub(super) fn set_alarm(&mut self, client: u32, alarm: Alarm, at: Timestamp) {
        if self.script.is_some() {
            return;
        }
        let epoch = self.clients[client as usize].epoch;
        self.net.schedule(at, client, Kind::Client, alarm as u32, epoch);
    }

    fn arrive(&mut self, client: u32) {
        let state = &mut self.clients[client as usize];
        let plan = state.link_plan(&self.scenario);
        let offence = state.handshake_offence();
        self.perform(client, Verb::Connect(plan));
        if let Some(offence) = offence {
            self.perform(client, Verb::Offend(offence));
        }
    }

    fn act(&mut self, link: LinkId) {
        let client = self.connections[link.index()].client;
        let verbs = self.with_view(link, |client, view| client.act(view));
        for verb in verbs {
            self.do_and_return(client, verb);
        }
        self.schedule_act(link);
    }

    /// Performs a verb. A client that leaves by it returns later.
    fn do_and_return(&mut self, client: u32, verb: Verb) {
        let departure = if let Verb::Leave(departure) = &verb { Some(*departure) } else { None };
        self.perform(client, verb);
        match departure {
            // The client notices the loss after a long silence.
            Some(Departure::LoseDown) => {
                let at = self.net.now + 3 * self.scenario.server.ping_interval;
                self.set_alarm(client, Alarm::Restart, at);
            }
            // The server ends the connection.
            Some(Departure::Clean | Departure::HalfClose | Departure::LoseUp) | None => {}
            Some(Departure::Quit | Departure::Reset | Departure::Vanish) => self.return_later(client),
        }
    }

    fn schedule_heartbeat(&mut self, client: u32) {
        if let Some(heartbeat) = self.scenario.app.heartbeat {
            let at = self.net.now + heartbeat;
            self.set_alarm(client, Alarm::Heartbeat, at);
        }
    }

    fn schedule_fault(&mut self, client: u32) {
        let now = self.net.now;
        if let Some(at) = self.clients[client as usize].next_fault(&self.scenario, now) {
            self.set_alarm(client, Alarm::Fault, at);
        }
    }

    fn schedule_flip(&mut self, link: LinkId) {
        if let Some(at) = self.with_view(link, |client, view| client.next_flip(view)) {
            self.set_alarm(self.connections[link.index()].client, Alarm::Flip, at);
        }
    }

    fn schedule_act(&mut self, link: LinkId) {
        if let Some(at) = self.with_view(link, |client, view| client.next_act(view)) {
            self.set_alarm(self.connections[link.index()].client, Alarm::Act, at);
        }
    }

    fn with_view<R>(
        &mut self,
        link: LinkId,
        draw: impl FnOnce(&mut crate::world::client::Client, &View<'_>) -> R,
    ) -> R {
        let connection = &self.connections[link.index()];
        let view = View {
            scenario: &self.scenario,
            grid: &self.checker.grid,
            now: self.net.now,
            latency: self.net.links[link.index()].latency(),
            unsent: connection.sent - connection.taken,
        };
        draw(&mut self.clients[connection.client as usize], &view)
    }

    /// Ends the faults of most clients, which the server must serve from now on. The other clients stay as they are.
    pub(super) fn on_heal(&mut self) {
        for client in 0..self.scenario.clients {
            if client % 10 < 7 {
                self.heal(client);
            }
        }
    }

    fn heal(&mut self, client: u32) {
        let state = &mut self.clients[client as usize];
        state.is_healed = true;
        state.wants_push = true;
        let link = state.link;
        let is_well = link != crate::world::client::Client::NO_LINK && self.is_well(LinkId(link), client);
        if is_well {
            let fence = self.clients[client as usize].next_number();
            self.perform(client, Verb::Read(crate::network::link::Reading::AtOnce));
            let texts = [crate::wire::text::Text::Subscribe, crate::wire::text::Text::Fence(fence)];
            self.perform(client, Verb::Say(texts.map(Utterance::Text).to_vec()));
            return;
        }
        if link != crate::world::client::Client::NO_LINK && self.is_connected(LinkId(link), client) {
            self.perform(client, Verb::Leave(Departure::Reset));
        }
        self.return_later(client);
    }

    /// Whether a client is connected over a link without a fault.
    fn is_well(&self, link: LinkId, client: u32) -> bool {
        let connection = &self.connections[link.index()];
        let is_narrow = self.net.links[link.index()].flow.as_ref().is_some_and(|flow| flow.is_narrow());
        self.is_connected(link, client) && connection.is_judged() && !connection.is_mute && !is_narrow
    }

    fn is_connected(&self, link: LinkId, client: u32) -> bool {
        let connection = &self.connections[link.index()];
        connection.client == client
            && connection.epoch == self.clients[client as usize].epoch
            && !self.net.links[link.index()].is_client_gone
    }
}
