//! A virtual client: a state machine, not a task, that draws its next action from its own random stream.

use std::time::Duration;

use carillon_server::Timestamp;

use crate::network::link::LinkPlan;
use crate::network::link::NARROW;
use crate::network::link::Reading;
use crate::oracle::model::Grid;
use crate::rng::Rng;
use crate::scenario::{AppProfile, Behaviour, Scenario};
use crate::script::verb::{Departure, Utterance, Verb};
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// The state of a client that outlives its connections.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) rng: Rng,
    /// The number of the client's current connection. Timers of older connections are ignored.
    pub(crate) epoch: u32,
    /// The link of the newest connection; [`Client::NO_LINK`] before the first.
    pub(crate) link: u32,
    /// The number of the client's last fence, ping or probe.
    last_number: u32,
    pub(crate) behaviour: Behaviour,
    /// Whether the client's switch for pushes is on.
    pub(crate) wants_push: bool,
    /// The client's faults are over: it stays connected and reads.
    pub(crate) is_healed: bool,
}

/// The purpose of a client's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Alarm {
    /// The client does what its behaviour demands.
    Act,
    Connect,
    /// A fault hits the client.
    Fault,
    Flip,
    Heartbeat,
    Restart,
}

const ALARMS: [Alarm; 6] =
    [Alarm::Act, Alarm::Connect, Alarm::Fault, Alarm::Flip, Alarm::Heartbeat, Alarm::Restart];

impl Alarm {
    pub(crate) fn from_index(index: u32) -> Self {
        ALARMS[index as usize]
    }
}

/// The part of the world that a client sees when it draws its next action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) grid: &'a Grid,
    pub(crate) now: Timestamp,
    pub(crate) latency: Duration,
    /// Bytes that the client has sent and the server has not taken.
    pub(crate) unsent: u64,
}

impl Client {
    pub(crate) const NO_LINK: u32 = u32::MAX;

    pub(crate) fn new(mut rng: Rng, population: &[(Behaviour, u32)]) -> Self {
        let behaviour = draw_behaviour(population, &mut rng);
        Self {
            rng,
            epoch: 0,
            link: Self::NO_LINK,
            last_number: 0,
            behaviour,
            wants_push: true,
            is_healed: false,
        }
    }

    /// The number for the next fence, ping or probe.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// Draws the link of the next connection.
    pub(crate) fn link_plan(&mut self, scenario: &Scenario) -> LinkPlan {
        let mut plan = scenario.links.draw(&mut self.rng);
        let is_narrow =
            matches!(self.behaviour, Behaviour::Flooder | Behaviour::NeverReader | Behaviour::SlowReader);
        if is_narrow && !self.is_healed {
            plan.window = Some(self.rng.between(64, u64::from(NARROW)) as u32);
        } else if scenario.faults.per_client.is_some() {
            // Wide enough for the bytes of a minute without a read, so that usually the client is slow, not the server.
            plan.window = Some(64 << 10);
        }
        plan
    }

    /// The offence that the client commits instead of an upgrade request, if any.
    pub(crate) fn handshake_offence(&mut self) -> Option<Offence> {
        if self.is_healed {
            return None;
        }
        match self.behaviour {
            Behaviour::Hostile if self.rng.chance(150) => {
                Some(if self.rng.chance(500) { Offence::Rubbish } else { Offence::WrongPath })
            }
            Behaviour::Staller => Some(Offence::StalledHandshake),
            _ => None,
        }
    }

    /// The messages that the client sends as soon as the connection is open.
    pub(crate) fn greeting(&mut self) -> Vec<Utterance> {
        let mut greeting = Vec::new();
        if self.behaviour != Behaviour::Pedant {
            greeting.push(Utterance::Text(Text::Hello));
        }
        if !self.wants_push {
            greeting.push(Utterance::Text(Text::Unsubscribe));
        }
        greeting
    }

    /// When the switch is flipped next: half of the time within two latencies of a due instant, so that the races
    /// happen.
    pub(crate) fn next_flip(&mut self, view: &View<'_>) -> Option<Timestamp> {
        let switch = view.scenario.app.switch.filter(|_| self.behaviour == Behaviour::App)?;
        let mean = if self.wants_push { switch.on } else { switch.off };
        let at = view.now + self.around(mean);
        Some(self.perhaps_near_due(at, view))
    }

    pub(crate) fn next_restart(&mut self, app: &AppProfile, now: Timestamp) -> Option<Timestamp> {
        app.restart.map(|mean| now + self.around(mean))
    }

    pub(crate) fn next_fault(&mut self, scenario: &Scenario, now: Timestamp) -> Option<Timestamp> {
        scenario.faults.per_client.map(|mean| now + self.around(mean))
    }

    /// When the client's behaviour acts next, if it does.
    pub(crate) fn next_act(&mut self, view: &View<'_>) -> Option<Timestamp> {
        let (low, high) = match self.behaviour {
            Behaviour::App | Behaviour::Pedant | Behaviour::Staller => return None,
            Behaviour::Flapper => (1, 60_000),
            Behaviour::Flooder => (500, 20_000),
            Behaviour::Ghost => (30_000, 1_200_000),
            Behaviour::Hostile => (1, 300_000),
            Behaviour::NeverReader | Behaviour::SlowReader => (1000, 120_000),
            Behaviour::Switcher => (1000, 180_000),
        };
        let at = view.now + Duration::from_millis(self.rng.between(low, high));
        Some(self.perhaps_near_due(at, view))
    }

    /// What the client's behaviour does now.
    pub(crate) fn act(&mut self, view: &View<'_>) -> Vec<Verb> {
        match self.behaviour {
            Behaviour::App | Behaviour::Pedant | Behaviour::Staller => Vec::new(),
            Behaviour::Flapper => vec![Verb::Leave(self.flap())],
            Behaviour::Flooder => self.flood(view),
            Behaviour::Ghost => {
                let ways = [Departure::Vanish, Departure::LoseUp, Departure::LoseDown];
                vec![Verb::Leave(self.pick(&ways))]
            }
            Behaviour::Hostile => self.offend(view),
            Behaviour::NeverReader => vec![Verb::Read(Reading::Never), self.say_anything(view)],
            Behaviour::SlowReader => {
                let reading = match self.rng.below(6) {
                    0 => Reading::AtOnce,
                    1 => Reading::Never,
                    _ => Reading::Slowly(self.rng.between(1, 200) as u32),
                };
                vec![Verb::Read(reading), self.say_anything(view)]
            }
            Behaviour::Switcher => vec![self.say_anything(view)],
        }
    }

    /// Draws the fault that hits the client now.
    pub(crate) fn fault(&mut self) -> Verb {
        match self.rng.below(10) {
            0..=2 => Verb::Read(Reading::Never),
            3 => Verb::Read(Reading::Slowly(self.rng.between(5, 500) as u32)),
            4 => Verb::Leave(Departure::LoseUp),
            5 => Verb::Leave(Departure::LoseDown),
            6 => Verb::Leave(Departure::HalfClose),
            7 => Verb::Leave(Departure::Vanish),
            8 => Verb::Leave(Departure::Quit),
            _ => Verb::Leave(Departure::Reset),
        }
    }

    /// Draws how an app leaves when it is restarted.
    pub(crate) fn restart(&mut self) -> Departure {
        match self.rng.below(10) {
            0..=4 => Departure::Clean,
            5..=6 => Departure::Quit,
            7..=8 => Departure::Reset,
            _ => Departure::Vanish,
        }
    }

    /// Flips the switch; half of the time a fence follows in the same write.
    pub(crate) fn flip(&mut self) -> Vec<Utterance> {
        self.wants_push = !self.wants_push;
        let command = if self.wants_push { Text::Subscribe } else { Text::Unsubscribe };
        let mut utterances = vec![Utterance::Text(command)];
        if self.rng.chance(500) {
            utterances.push(Utterance::Text(Text::Fence(self.next_number())));
        }
        utterances
    }

    /// Draws a heartbeat: usually the text, sometimes a ping frame.
    pub(crate) fn beat(&mut self) -> Utterance {
        if self.rng.below(16) == 0 {
            Utterance::Ping(self.next_number())
        } else {
            Utterance::Text(Text::Heartbeat)
        }
    }

    /// Draws how long the client stays away.
    pub(crate) fn pause(&mut self) -> Duration {
        let (low, high) = if self.behaviour == Behaviour::Flapper { (10, 3000) } else { (200, 30_000) };
        Duration::from_millis(self.rng.between(low, high))
    }

    fn flap(&mut self) -> Departure {
        let ways = [
            Departure::Clean,
            Departure::Clean,
            Departure::HalfClose,
            Departure::Quit,
            Departure::Quit,
            Departure::Reset,
            Departure::Reset,
            Departure::Vanish,
        ];
        self.pick(&ways)
    }

    fn flood(&mut self, view: &View<'_>) -> Vec<Verb> {
        // The client's own send buffer is limited too, so it sends no more to a server that has stopped reading.
        if view.unsent > 2 * view.scenario.server.outbox_limit as u64 {
            return Vec::new();
        }
        let length = self.rng.between(20, view.scenario.server.max_message as u64) as u32;
        let probe = |number| Utterance::Text(Text::Probe { number, length });
        let burst = (0..self.rng.between(5, 60)).map(|_| probe(self.next_number())).collect();
        vec![Verb::Read(Reading::Slowly(self.rng.between(50, 2000) as u32)), Verb::Say(burst)]
    }

    fn offend(&mut self, view: &View<'_>) -> Vec<Verb> {
        let offences: Vec<Offence> =
            Offence::ALL.into_iter().filter(|offence| !offence.is_before_handshake()).collect();
        let mut verbs = Vec::new();
        if self.rng.chance(500) {
            verbs.push(self.say_anything(view));
        }
        verbs.push(Verb::Offend(self.pick(&offences)));
        verbs
    }

    /// One to four utterances of any legal kind, in one write.
    fn say_anything(&mut self, view: &View<'_>) -> Verb {
        let count = self.rng.between(1, 4);
        Verb::Say((0..count).map(|_| self.utter(view.scenario.server.max_message)).collect())
    }

    fn utter(&mut self, max_message: usize) -> Utterance {
        match self.rng.below(20) {
            0 => Utterance::Binary,
            1 => Utterance::Ping(self.next_number()),
            2 => Utterance::Pong,
            3..=4 => Utterance::Fragmented(self.probe(max_message), self.rng.between(2, 5) as u8),
            5 => Utterance::Fragmented(self.command(), self.rng.between(2, 3) as u8),
            6 => Utterance::Text(Text::NearMiss(self.rng.below(8) as u8)),
            7 => Utterance::Text(Text::Empty),
            8..=9 => Utterance::Text(self.probe(max_message)),
            10..=13 => Utterance::Text(Text::Fence(self.next_number())),
            14 => Utterance::Text(Text::Heartbeat),
            _ => Utterance::Text(self.command()),
        }
    }

    /// Draws a command, which may change nothing.
    fn command(&mut self) -> Text {
        self.wants_push = self.rng.chance(500);
        if self.wants_push { Text::Subscribe } else { Text::Unsubscribe }
    }

    /// Draws a text of any length; one in four has exactly the largest allowed length.
    fn probe(&mut self, max_message: usize) -> Text {
        let longest = max_message as u64;
        let length = match self.rng.below(4) {
            0 => longest,
            1 => self.rng.between(16, longest),
            _ => self.rng.between(16, 60),
        };
        Text::Probe { number: self.next_number(), length: length as u32 }
    }

    fn perhaps_near_due(&mut self, at: Timestamp, view: &View<'_>) -> Timestamp {
        if self.rng.chance(500) {
            return at;
        }
        let due = view.grid.due(view.grid.newest(at) + 1).as_nanos();
        let margin = 2 * view.latency.as_nanos() as u64;
        let near = Timestamp::from_nanos(due.saturating_sub(margin) + self.rng.below(2 * margin + 1));
        near.max(view.now)
    }

    /// Draws a span between 0.5 and 1.5 times the mean. It uses whole numbers, because `ln` differs between machines.
    fn around(&mut self, mean: Duration) -> Duration {
        let mean = mean.as_nanos() as u64;
        Duration::from_nanos(self.rng.between(mean / 2, mean + mean / 2))
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.below(choices.len() as u64) as usize]
    }
}

fn draw_behaviour(population: &[(Behaviour, u32)], rng: &mut Rng) -> Behaviour {
    let total: u64 = population.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut drawn = rng.below(total);
    for (behaviour, weight) in population {
        match drawn.checked_sub(u64::from(*weight)) {
            Some(rest) => drawn = rest,
            None => return *behaviour,
        }
    }
    Behaviour::App
}
