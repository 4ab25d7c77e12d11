//! Virtual time: the world takes the next event, lets the server and the clients act, and hands what they see to the
//! checker.

pub(crate) mod client;
pub(crate) mod target;

mod behaviour;
mod ending;
mod perform;
mod reading;
mod server;

use std::time::Duration;

use carillon_server::{Timestamp, Zone};

use crate::network::link::End;
use crate::network::link::LinkId;
use crate::network::queue::Event;
use crate::network::{Kind, Network};
use crate::oracle::checker::{Checker, ServerTraits};
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::score::Score;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::script::line::ScriptLine;
use crate::script::verb::{ServerVerb, Verb};
use crate::trace::Trace;
use crate::wire::handshake::Handshake;
use crate::world::client::{Alarm, Client};
use crate::world::target::{Advance, Target};

/// How many different handshakes the clients use.
const HANDSHAKES: usize = 16;

/// One run: a server on trial, its clients, the network between them, and the oracle.
#[derive(Debug)]
pub struct World<T> {
    scenario: Scenario,
    target: T,
    net: Network,
    clients: Vec<Client>,
    /// The connections, indexed by link.
    connections: Vec<Connection>,
    checker: Checker,
    trace: Trace,
    handshakes: Vec<Handshake>,
    /// Links with a command in flight whose bytes the server has taken.
    settling: Vec<LinkId>,
    /// The connection whose input the server is handling.
    serving: Option<LinkId>,
    coin: Rng,
    observed: u64,
    /// A buffer for the text being sent, kept for reuse.
    rendered: String,
    outgoing: Vec<u8>,
    /// The clients' actions, if a script and not the seed decides them.
    script: Option<Vec<ScriptLine>>,
    /// The actions so far, if the run is recorded.
    record: Option<Vec<ScriptLine>>,
    stops_at: Option<Timestamp>,
    plan: Vec<ServerVerb>,
    /// The server is paused.
    is_suspended: bool,
    deferred: Vec<Deferred>,
    cycles: u64,
}

/// Input for a server that is paused.
#[derive(Clone, Copy, Debug)]
enum Deferred {
    Event(Event),
    Writable(LinkId),
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Verdicts, counts and violations.
    pub score: Score,
    /// Digest of every event: two runs with the same seed and server have the same one.
    pub digest: u64,
    /// Digest of the bytes that each client read, regardless of their times and of how the network split them.
    pub observed: u64,
    /// The number of simulated events.
    pub events: u64,
    /// The number of cycles that were due before the shutdown.
    pub cycles: u64,
    /// The virtual time of the run, including the shutdown.
    pub virtual_time: Duration,
    /// The actions of clients and environment, in order of time; `None` without [`World::recording`].
    pub record: Option<Vec<ScriptLine>>,
}

impl<T: Target> World<T> {
    /// A world at the origin of time. `rng` decides everything in it except the target.
    ///
    /// The scenario must pass [`Scenario::check`]; otherwise the run may panic.
    pub fn new(scenario: Scenario, target: T, rng: &Rng, trace: Trace) -> Self {
        let mut world = Self::build(scenario, target, rng, trace);
        world.schedule_arrivals();
        world.schedule_plan(&mut rng.fork("plan"));
        world
    }

    /// A world in which the script alone decides what clients and environment do. `rng` decides masks and ties.
    pub fn scripted(
        scenario: Scenario,
        mut script: Vec<ScriptLine>,
        target: T,
        rng: &Rng,
        trace: Trace,
    ) -> Self {
        let mut world = Self::build(scenario, target, rng, trace);
        script.sort_by_key(ScriptLine::at);
        world.script = Some(script);
        world.schedule_script(0);
        world
    }

    /// Records the actions of clients and environment in [`Outcome::record`].
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.record = Some(Vec::new());
        self
    }

    /// Stops the run at this virtual time, without a shutdown.
    #[must_use]
    pub fn stopping_at(mut self, at: Timestamp) -> Self {
        self.stops_at = Some(at);
        self
    }

    fn build(scenario: Scenario, target: T, rng: &Rng, trace: Trace) -> Self {
        let traits = ServerTraits {
            is_foreign: target.is_foreign(),
            attributes_log: target.attributes_log(),
            buffer_allowance: target.buffer_allowance(),
        };
        let checker = Checker::new(&scenario, traits);
        let clients = rng.fork("clients");
        let handshakes = rng.fork("handshakes");
        let mut world = Self {
            net: Network::new(rng.fork("ties").bits(), scenario.wall_origin),
            clients: (0..u64::from(scenario.clients))
                .map(|index| Client::new(clients.split(index), &scenario.population))
                .collect(),
            handshakes: (0..HANDSHAKES as u64)
                .map(|index| Handshake::new(&scenario.server.path, handshakes.split(index).bits()))
                .collect(),
            connections: Vec::new(),
            checker,
            trace,
            settling: Vec::new(),
            serving: None,
            coin: rng.fork("coin"),
            observed: 0,
            rendered: String::new(),
            outgoing: Vec::new(),
            script: None,
            record: None,
            stops_at: None,
            plan: Vec::new(),
            is_suspended: false,
            deferred: Vec::new(),
            cycles: 0,
            scenario,
            target,
        };
        let first_audit = world.checker.audit_at(1);
        world.net.schedule(first_audit, 0, Kind::Audit, 1, 0);
        if let Zone::Switch { at, .. } = world.scenario.zone
            && at > world.scenario.wall_origin.as_unix_seconds()
        {
            world.checker.on_daylight_saving();
        }
        world
    }

    /// Runs the scenario to its end, including the shutdown. Calls `progress` with the virtual time about once per
    /// period.
    pub fn run(mut self, mut progress: impl FnMut(Duration)) -> Outcome {
        let full = Timestamp::ZERO + self.scenario.duration;
        let end = self.stops_at.map_or(full, |at| at.min(full));
        let mut next_report = Timestamp::ZERO;
        while self.step(end) {
            if self.net.now >= next_report {
                progress(self.net.now.since(Timestamp::ZERO));
                next_report = self.net.now + self.scenario.server.period;
            }
        }
        self.cycles = self.checker.grid.newest(end);
        if end == full {
            self.check_healed();
            self.drain();
        }
        self.outcome()
    }

    fn schedule_arrivals(&mut self) {
        let period = self.scenario.server.period.as_nanos() as u64;
        for (index, client) in self.clients.iter_mut().enumerate() {
            let at = Timestamp::from_nanos(client.rng.below(period));
            self.net.schedule(at, index as u32, Kind::Client, Alarm::Connect as u32, 0);
        }
    }

    /// Draws the faults of the server and their times. The run is divided into equal parts, one for each fault.
    fn schedule_plan(&mut self, rng: &mut Rng) {
        let (faults, period) = (self.scenario.faults.clone(), self.scenario.server.period);
        let mut plan = Vec::new();
        plan.extend((0..faults.pauses).map(|_| ServerVerb::Pause(period / 10 * rng.between(1, 40) as u32)));
        plan.extend(
            (0..faults.clock_jumps).map(|_| ServerVerb::SetClock(rng.between(0, 20_000) as i64 - 10_000)),
        );
        plan.extend((0..faults.restarts).map(|_| ServerVerb::Restart));
        for index in (1..plan.len()).rev() {
            plan.swap(index, rng.below(index as u64 + 1) as usize);
        }
        let healed_at = self.healed_at();
        let room = healed_at.saturating_sub(period * 2);
        // A pause of up to four periods must end before the next fault.
        plan.truncate((room.as_nanos() / (period * 6).as_nanos()) as usize);
        let part = room / (plan.len() as u32).max(1);
        for (index, verb) in plan.into_iter().enumerate() {
            let cycles = (part.as_nanos() / period.as_nanos()) as u64;
            let cycle = index as u64 * cycles + rng.between(1, cycles - 5);
            // Not near a due instant, where the oracle could not know which wall clock the push text shows.
            let at = period * cycle as u32 + period / 10 * rng.between(3, 7) as u32;
            self.net.schedule(Timestamp::ZERO + at, 0, Kind::Server, self.plan.len() as u32, 0);
            self.plan.push(verb);
        }
        if faults.heals && healed_at > Duration::ZERO {
            self.net.schedule(Timestamp::ZERO + healed_at, 0, Kind::Heal, 0, 0);
        }
    }

    /// When the faults end: three periods before the end of the run.
    fn healed_at(&self) -> Duration {
        self.scenario.duration.saturating_sub(self.scenario.server.period * 3)
    }

    /// Handles the next event up to `end`; returns `false` if there is none.
    fn step(&mut self, end: Timestamp) -> bool {
        if self.is_suspended {
            return self.next_event(end, end);
        }
        let now = self.net.now;
        let wakes_at = self.target.poll_timeout().map(|at| at.max(now));
        if wakes_at.is_some_and(|at| at > now) {
            self.settle();
        }
        let horizon = wakes_at.map_or(end, |at| at.min(end));
        let event_at = self.net.queue.next_at(horizon);
        let limit = event_at.unwrap_or(horizon);
        let is_tie = event_at.is_some() && event_at == wakes_at;
        let server_first = wakes_at.is_none_or(|at| at <= limit) && !(is_tie && self.coin.chance(500));
        if !server_first {
            let event = event_at.and_then(|_| self.net.queue.take());
            return self.handle_event(event, end);
        }
        match self.target.advance(limit, &mut self.net) {
            Advance::Acted => {
                self.trace.events += 1;
                self.after_server();
                return true;
            }
            Advance::Idle => {
                self.after_server();
                self.settle();
                return true;
            }
            Advance::Reached => {}
        }
        self.next_event(limit, end)
    }

    fn next_event(&mut self, limit: Timestamp, end: Timestamp) -> bool {
        let event = self.net.queue.pop(limit);
        self.handle_event(event, end)
    }

    fn handle_event(&mut self, event: Option<Event>, end: Timestamp) -> bool {
        let Some(event) = event else {
            self.net.now = end;
            return false;
        };
        // A target with a coarser clock than the world's may be slightly ahead.
        self.net.now = self.net.now.max(event.at);
        self.trace.events += 1;
        self.dispatch(event);
        true
    }

    fn dispatch(&mut self, event: Event) {
        let kind = Kind::of(&event);
        self.trace.digest.absorb(event.at.as_nanos());
        self.trace.digest.absorb(u64::from(event.subject) << 32 | kind as u64);
        let link = LinkId(event.subject);
        match kind {
            Kind::Accept | Kind::ToServer | Kind::ToServerEnd => self.on_to_server(event),
            Kind::Audit => self.on_audit(u64::from(event.start)),
            Kind::Client => self.on_alarm(event.subject, Alarm::from_index(event.start), event.end),
            Kind::Dial => self.on_dial(link, event.start, event.end),
            Kind::Free => self.on_free(link),
            Kind::Heal => self.on_heal(),
            Kind::Read => self.on_read(link, event.start, event.end),
            Kind::Reap => self.on_reap(link, event.start, event.end),
            Kind::Resume => self.on_resume(),
            Kind::Script => self.on_script(event.start as usize, event.subject),
            Kind::Settle => self.on_settle(link, event.start, event.end),
            Kind::Server => self.on_server(self.plan[event.start as usize]),
            Kind::ToClient => self.on_client_bytes(link, &event),
            Kind::ToClientEnd => self.on_client_end(link, End::of(&event)),
        }
    }

    fn on_server(&mut self, verb: ServerVerb) {
        if let Some(record) = &mut self.record {
            record.push(ScriptLine::Server { at: self.net.now, verb });
        }
        match verb {
            ServerVerb::Pause(span) => self.suspend(span),
            ServerVerb::Restart => self.restart(),
            ServerVerb::SetClock(seconds) => self.set_clock(seconds),
        }
    }

    /// Follows a line of the script after all other events of its instant, because it was probably a reaction to those.
    fn on_script(&mut self, index: usize, attempt: u32) {
        let now = self.net.now;
        if self.net.queue.next_at(now).is_some() {
            // A new subject gives the event a new place among the ties.
            return self.net.schedule(now, attempt + 1, Kind::Script, index as u32, 0);
        }
        if let Some(line) = self.script.as_ref().and_then(|script| script.get(index).cloned()) {
            self.follow(line);
            self.schedule_script(index + 1);
        }
    }

    /// Schedules one line at a time, so that lines of the same instant keep their order.
    fn schedule_script(&mut self, index: usize) {
        if let Some(line) = self.script.as_ref().and_then(|script| script.get(index)) {
            let at = line.at().max(self.net.now);
            self.net.schedule(at, 0, Kind::Script, index as u32, 0);
        }
    }

    /// Follows a line of the script. Skips a line that its client cannot perform now.
    fn follow(&mut self, line: ScriptLine) {
        match line {
            ScriptLine::Server { verb, .. } => self.on_server(verb),
            ScriptLine::Client { client, verb, .. } => {
                if self.can(client, &verb) {
                    self.perform(client, verb);
                }
            }
        }
    }

    fn can(&self, client: u32, verb: &Verb) -> bool {
        let state = &self.clients[client as usize];
        let Some(connection) = self.connections.get(state.link as usize) else {
            return matches!(verb, Verb::Connect(_));
        };
        let is_here = connection.client == client
            && connection.epoch == state.epoch
            && !self.net.links[state.link as usize].is_client_gone;
        match verb {
            Verb::Connect(_) => !is_here,
            Verb::Say(_) => is_here && connection.phase == Phase::Open,
            Verb::Offend(offence) => {
                is_here && (connection.phase == Phase::Handshake) == offence.is_before_handshake()
            }
            Verb::Leave(_) | Verb::Read(_) => is_here,
        }
    }

    fn tell(&mut self, link: LinkId, line: impl FnOnce(&mut String)) {
        let client = self.connections[link.index()].client;
        self.trace.tell(self.net.now, client, line);
    }

    /// Traces an event on the wire or at the server's end of it.
    fn note(&mut self, link: LinkId, line: impl FnOnce(&mut String)) {
        if self.trace.is_watching() {
            self.trace.note(self.net.now, self.connections[link.index()].client, line);
        }
    }
}
