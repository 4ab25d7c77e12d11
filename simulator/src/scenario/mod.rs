//! What is simulated: population, behaviour, links, faults and limits, as a value.

mod arm;
mod behaviour;
mod built_in;
pub mod file;
pub(crate) mod limits;
pub mod recipe;
mod swarm;

use std::path::PathBuf;
use std::time::Duration;

use carillon_server::{Config, WallTime, Zone};

use crate::network::link::LinkProfile;

pub use arm::Arm;
pub use behaviour::Behaviour;

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
    pub is_push_bound_explicit: bool,
    /// The file that it was read from, which the line that repeats a run names; `None` for a built-in scenario.
    pub file: Option<PathBuf>,
}

/// The time limits that a server is held to, beyond what the links take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the due instant until the push was handed to the link.
    pub push: Duration,
    /// From a message's arrival until its answer was handed to the link.
    pub reply: Duration,
    /// From the end of a connection until the server has dropped it, beyond its close timeout.
    pub release: Duration,
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

/// The scenario that runs if none is named.
pub(crate) const DEFAULT_SCENARIO: &str = "day";

/// How many clients a scenario has unless it says otherwise.
pub(crate) const DEFAULT_CLIENTS: u32 = 10_000;

/// The virtual time of a run unless its scenario says otherwise.
pub(crate) const DEFAULT_DURATION: Duration = Duration::from_secs(24 * 3600);

/// The time between two pushes unless the scenario says otherwise.
pub(crate) const DEFAULT_PERIOD: Duration = Duration::from_secs(300);

/// What the reference server keeps with ease.
pub(crate) const USUAL_BOUNDS: Bounds = Bounds {
    push: Duration::from_millis(500),
    reply: Duration::from_secs(1),
    release: Duration::from_secs(1),
};

impl Scenario {
    /// Whether anything is to go wrong, by itself or through what clients do.
    pub fn has_hazards(&self) -> bool {
        let is_trouble = |(behaviour, weight): &(Behaviour, u32)| *behaviour != Behaviour::App && *weight > 0;
        self.faults != FaultProfile::default() || self.population.iter().any(is_trouble)
    }

    /// The bounds for a server that is not ours: unless somebody said otherwise, it may send a push until a third of the
    /// period is over, if the push can then arrive before the next is due.
    pub(crate) fn foreign_bounds(&self) -> Bounds {
        let push = self.bounds.push;
        if self.is_push_bound_explicit || push != USUAL_BOUNDS.push {
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
            is_push_bound_explicit: false,
            file: None,
        }
    }
}
