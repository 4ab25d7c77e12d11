//! Virtual time: takes the next event, lets the server and the clients act, and hands what they see to the checker.

mod behaviour;
mod ending;
mod reading;
mod server;

use std::time::Duration;

use carillon_server::Timestamp;

use crate::checker::{Checker, Score};
use crate::client::{Alarm, Client};
use crate::codec::Handshake;
use crate::journal::Journal;
use crate::link::LinkId;
use crate::model::Grid;
use crate::network::{End, Kind, LogEntry, Network};
use crate::peer::Peer;
use crate::queue::Event;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::target::{Advance, Target};
use crate::trace::Trace;

/// How many different handshakes the clients use.
const HANDSHAKES: usize = 16;

/// A server under test, its clients, the network between them, and the judge.
#[derive(Debug)]
pub struct World<T> {
    scenario: Scenario,
    target: T,
    net: Network,
    clients: Vec<Client>,
    /// By link.
    peers: Vec<Peer>,
    checker: Checker,
    trace: Trace,
    handshakes: Vec<Handshake>,
    /// Links with a command in flight whose bytes the server has taken.
    settling: Vec<LinkId>,
    /// The connection whose input the server is handling.
    serving: Option<LinkId>,
    /// The command whose log line comes next.
    expected_line: Option<LogEntry>,
    /// What the server's log says.
    journal: Journal,
    coin: Rng,
    links: Rng,
    observed: u64,
    outgoing: Vec<u8>,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Verdicts, counts and violations.
    pub score: Score,
    /// The digest of every event.
    pub digest: u64,
    /// The digest of what each client read, however it was cut and whenever it came.
    pub observed: u64,
    /// Simulated events.
    pub events: u64,
    /// Cycles that were due before the shutdown.
    pub cycles: u64,
    /// Virtual time, the shutdown included.
    pub virtual_time: Duration,
}

impl<T: Target> World<T> {
    /// A world at the origin of time. `rng` decides everything in it but the target.
    pub fn new(scenario: Scenario, target: T, rng: &Rng, trace: Trace) -> Self {
        let grid = Grid::new(scenario.server.period, scenario.wall_origin, scenario.zone.clone());
        let checker = Checker::new(grid, scenario.bounds, scenario.links.longest_way());
        let clients = rng.fork("clients");
        let handshakes = rng.fork("handshakes");
        let mut world = Self {
            net: Network::new(rng.fork("ties").bits(), scenario.wall_origin),
            clients: (0..u64::from(scenario.clients))
                .map(|index| Client::new(clients.split(index)))
                .collect(),
            handshakes: (0..HANDSHAKES as u64)
                .map(|index| Handshake::new(&scenario.server.path, handshakes.split(index).bits()))
                .collect(),
            peers: Vec::new(),
            checker,
            trace,
            settling: Vec::new(),
            serving: None,
            expected_line: None,
            journal: Journal::default(),
            coin: rng.fork("coin"),
            links: rng.fork("links"),
            observed: 0,
            outgoing: Vec::new(),
            scenario,
            target,
        };
        world.schedule_arrivals();
        world
    }

    /// Runs the scenario to its end, shutdown included. `progress` is told the virtual time now and then.
    pub fn run(mut self, mut progress: impl FnMut(Duration)) -> Outcome {
        let end = Timestamp::ZERO + self.scenario.duration;
        let mut next_report = Timestamp::ZERO;
        while self.step(end) {
            if self.net.now >= next_report {
                progress(self.net.now.since(Timestamp::ZERO));
                next_report = self.net.now + self.scenario.server.period;
            }
        }
        self.drain();
        self.outcome()
    }

    fn schedule_arrivals(&mut self) {
        let period = self.scenario.server.period.as_nanos() as u64;
        for (index, client) in self.clients.iter_mut().enumerate() {
            let at = Timestamp::from_nanos(client.rng.below(period));
            self.net.schedule(at, index as u32, Kind::Client, Alarm::Connect as u32, 0);
        }
        let first_audit = self.checker.audit_at(1);
        self.net.schedule(first_audit, 0, Kind::Audit, 1, 0);
    }

    /// Lets the next thing happen that happens by `end`; `false` if nothing does.
    fn step(&mut self, end: Timestamp) -> bool {
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
        let advance = if server_first { self.target.advance(limit, &mut self.net) } else { Advance::Reached };
        match advance {
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
        let Some(event) = self.net.queue.pop(limit) else {
            self.net.now = end;
            return false;
        };
        // A target whose clock is coarser than the world's may be a little ahead.
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
            Kind::Accept => self.on_accept(link),
            Kind::Audit => self.on_audit(u64::from(event.start)),
            Kind::Client => self.on_alarm(event.subject, Alarm::from_index(event.start), event.end),
            Kind::Free => self.on_free(link),
            Kind::Reap => self.on_reap(link, event.start, event.end),
            Kind::ToClient => self.on_client_bytes(link, &event),
            Kind::ToClientEnd => self.on_client_end(link, End::of(&event)),
            Kind::ToServer => self.on_server_bytes(link, &event),
            Kind::ToServerEnd => self.on_server_end(link, End::of(&event)),
        }
    }

    fn tell(&mut self, link: LinkId, line: impl FnOnce(&mut String)) {
        let client = self.peers[link.index()].client;
        self.trace.tell(self.net.now, client, line);
    }
}
