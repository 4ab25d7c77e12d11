//! What is simulated: population, behaviour, links, faults and limits, as a value.

pub mod file;
pub(crate) mod limits;
pub mod recipe;
mod swarm;

use std::path::PathBuf;
use std::time::Duration;

use carillon_server::{Config, WallTime, Zone};

use crate::network::link::LinkProfile;
use crate::oracle::score::Bounds;
use crate::world::client::Behaviour;

/// A run, but for its seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: String,
    /// How many clients there are.
    pub clients: u32,
    /// Virtual time until the server is told to shut down.
    pub duration: Duration,
    /// The server's limits and times.
    pub server: Config,
    /// How many hubs it has.
    pub shards: usize,
    /// Its time zone.
    pub zone: Zone,
    /// What the wall clock shows when it starts.
    pub wall_origin: WallTime,
    /// Who the clients are: behaviours and their weights.
    pub population: Vec<(Behaviour, u32)>,
    /// What those do that behave like the seed document's app.
    pub app: AppProfile,
    /// What the links are like.
    pub links: LinkProfile,
    /// What goes wrong.
    pub faults: FaultProfile,
    /// How long the server may take.
    pub bounds: Bounds,
    /// The bound of a push is meant, though it is the usual one: whoever leaves it out gives a server that is not ours
    /// the third of a period that the protocol grants it.
    pub is_usual_push_meant: bool,
    /// The file that it was read from, which the line that repeats a run names; `None` for a built-in scenario.
    pub file: Option<PathBuf>,
}

/// The behaviour of the seed document's app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppProfile {
    /// Time between two heartbeats; `None` for none.
    pub heartbeat: Option<Duration>,
    /// How long the switch stays on, and off; `None` if nobody touches it.
    pub switch: Option<SwitchProfile>,
    /// Mean time between two restarts of the app; `None` for none.
    pub restart: Option<Duration>,
}

/// How the switch for pushes is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchProfile {
    /// Mean time that it stays on.
    pub on: Duration,
    /// Mean time that it stays off.
    pub off: Duration,
}

/// What goes wrong, besides what clients do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultProfile {
    /// Mean time between two faults of one client's link or process; `None` for none.
    pub per_client: Option<Duration>,
    /// How often the server stands still for up to four periods.
    pub pauses: u32,
    /// How often its wall clock is set, forward or backward.
    pub clock_jumps: u32,
    /// How often it is restarted.
    pub restarts: u32,
    /// Whether the faults end for most of the clients before the run does, and these must then be served.
    pub heals: bool,
}

/// 2026-11-22 12:00:00 UTC.
const NOON: WallTime = WallTime::from_unix_seconds(1_795_348_800);

/// What the reference server keeps with ease.
pub(crate) const USUAL_BOUNDS: Bounds = Bounds {
    push: Duration::from_millis(500),
    reply: Duration::from_secs(1),
    release: Duration::from_secs(1),
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

impl Scenario {
    /// The built-in scenario of this name; the seed draws what `swarm` is.
    pub fn named(name: &str, clients: u32, duration: Duration, period: Duration, seed: u64) -> Option<Self> {
        match name {
            "churn" => Some(Self::churn(clients, duration, period)),
            "day" => Some(Self::day(clients, duration, period)),
            "drain" => Some(Self::drain(clients, duration, period)),
            "fanout" => Some(Self::fanout(clients, duration, period)),
            "hostile" => Some(Self::hostile(clients, duration, period)),
            "slow" => Some(Self::slow(clients, duration, period)),
            "storm" => Some(Self::storm(clients, duration, period)),
            "swarm" => Some(crate::scenario::swarm::draw(clients, duration, period, seed)),
            _ => None,
        }
    }

    /// The built-in scenarios: name and subject.
    pub const BUILT_IN: [(&'static str, &'static str); 8] = [
        ("churn", "clients that come and go all the time, in every way there is"),
        ("day", "the app of the seed document: heartbeats, a switch, now and then a restart"),
        ("drain", "a shutdown with slow readers and half-open connections about"),
        ("fanout", "the plain delivery rate: one Hello, then nothing but pushes"),
        ("hostile", "malformed input of every kind among ordinary clients"),
        ("slow", "slow readers, never-readers and echo floods among ordinary clients"),
        ("storm", "server restarts and pauses, after which everybody comes back at once"),
        ("swarm", "population, faults and limits drawn from the seed"),
    ];

    /// The app of the seed document through a day: Hello on opening, a heartbeat every 15 minutes, the switch off a tenth
    /// of the time, and now and then a restart.
    pub fn day(clients: u32, duration: Duration, period: Duration) -> Self {
        // Longer than the heartbeat: an app that talks is not pinged, and one that is gone is found out.
        let server = Config { period, ping_interval: HOUR / 2, ..Config::default() };
        Self { app: AppProfile::of_the_seed(), ..Self::quiet("day", clients, duration, server) }
    }

    /// The plain delivery rate: one Hello, then nothing but pushes.
    pub fn fanout(clients: u32, duration: Duration, period: Duration) -> Self {
        let server = Config { period, ping_interval: 48 * HOUR, ..Config::default() };
        Self::quiet("fanout", clients, duration, server)
    }

    fn churn(clients: u32, duration: Duration, period: Duration) -> Self {
        let population = vec![
            (Behaviour::App, 4),
            (Behaviour::Flapper, 3),
            (Behaviour::Ghost, 1),
            (Behaviour::Switcher, 2),
        ];
        Self {
            population,
            faults: FaultProfile::of_clients(10 * MINUTE),
            ..Self::lively("churn", clients, duration, period)
        }
    }

    fn drain(clients: u32, duration: Duration, period: Duration) -> Self {
        let population = vec![
            (Behaviour::App, 4),
            (Behaviour::Ghost, 1),
            (Behaviour::NeverReader, 1),
            (Behaviour::SlowReader, 2),
        ];
        Self { population, ..Self::lively("drain", clients, duration, period) }
    }

    fn hostile(clients: u32, duration: Duration, period: Duration) -> Self {
        let population = vec![(Behaviour::App, 4), (Behaviour::Hostile, 4), (Behaviour::Staller, 2)];
        Self { population, ..Self::lively("hostile", clients, duration, period) }
    }

    fn slow(clients: u32, duration: Duration, period: Duration) -> Self {
        let population = vec![
            (Behaviour::App, 4),
            (Behaviour::Flooder, 2),
            (Behaviour::NeverReader, 2),
            (Behaviour::SlowReader, 2),
        ];
        let scenario = Self::lively("slow", clients, duration, period);
        let server = Config { max_message: 1 << 10, outbox_limit: 4 << 10, ..scenario.server };
        Self { population, server, ..scenario }
    }

    fn storm(clients: u32, duration: Duration, period: Duration) -> Self {
        let faults = FaultProfile { pauses: 2, restarts: 3, clock_jumps: 1, ..FaultProfile::default() };
        Self { faults, ..Self::lively("storm", clients, duration, period) }
    }

    /// Clients that behave like the app, only faster, before a server with short timeouts.
    fn lively(name: &str, clients: u32, duration: Duration, period: Duration) -> Self {
        let app = AppProfile {
            heartbeat: Some(5 * MINUTE),
            switch: Some(SwitchProfile { on: 20 * MINUTE, off: 10 * MINUTE }),
            restart: Some(HOUR),
        };
        let server = Config { period, ping_interval: 6 * MINUTE, ..Config::default() };
        let faults = FaultProfile { heals: true, ..FaultProfile::default() };
        Self { app, faults, ..Self::quiet(name, clients, duration, server) }
    }

    /// Whether anything is to go wrong, by itself or through what clients do.
    pub fn has_hazards(&self) -> bool {
        let is_trouble = |(behaviour, weight): &(Behaviour, u32)| *behaviour != Behaviour::App && *weight > 0;
        self.faults != FaultProfile::default() || self.population.iter().any(is_trouble)
    }

    /// The bounds for a server that is not ours: unless somebody said otherwise, it may send a push until a third of the
    /// period is over, if the push can then arrive before the next is due.
    pub(crate) fn foreign_bounds(&self) -> Bounds {
        let push = self.bounds.push;
        if self.is_usual_push_meant || push != USUAL_BOUNDS.push {
            return self.bounds;
        }
        let period = self.server.period;
        let in_time = period.saturating_sub(self.links.longest_way() + Duration::from_millis(1));
        Bounds { push: (period / 3).min(in_time).max(push), ..self.bounds }
    }

    /// Clients that say hello and listen.
    pub(crate) fn quiet(name: &str, clients: u32, duration: Duration, server: Config) -> Self {
        Self {
            name: name.to_owned(),
            clients,
            duration,
            server,
            shards: 2,
            zone: Zone::Fixed(8 * 3600),
            wall_origin: NOON,
            population: vec![(Behaviour::App, 1)],
            app: AppProfile { heartbeat: None, switch: None, restart: None },
            links: LinkProfile {
                min_latency: Duration::from_millis(3),
                max_latency: Duration::from_millis(250),
                max_jitter: Duration::from_millis(50),
                max_sliced: 50,
            },
            faults: FaultProfile::default(),
            bounds: USUAL_BOUNDS,
            is_usual_push_meant: false,
            file: None,
        }
    }
}

impl AppProfile {
    /// As the seed document has it; the heartbeat's time is ours.
    pub fn of_the_seed() -> Self {
        Self {
            heartbeat: Some(15 * MINUTE),
            switch: Some(SwitchProfile { on: 3 * HOUR, off: HOUR / 3 }),
            restart: Some(12 * HOUR),
        }
    }
}

impl FaultProfile {
    /// Faults of the clients' links and processes alone, one every so often for each client.
    fn of_clients(mean: Duration) -> Self {
        Self { per_client: Some(mean), heals: true, ..Self::default() }
    }
}
