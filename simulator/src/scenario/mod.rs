//! A scenario as a value: population, behaviour, links, faults and limits.

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

/// Everything that a run is made of, except its seed. [`Scenario::check`] checks the ranges.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The scenario's name in reports: one line of text.
    pub name: String,
    /// The number of clients, from 1 to [`MOST_CLIENTS`](crate::MOST_CLIENTS).
    pub clients: u32,
    /// The virtual time until the server is told to shut down, from one period to 366 days.
    pub duration: Duration,
    /// The server's configuration, with the time between two pushes (`period`).
    pub server: Config,
    /// The number of the server's hubs, from 1 to 64.
    pub shards: usize,
    /// The server's time zone, which the text of a push shows.
    pub zone: Zone,
    /// The wall time at the start of the run.
    pub wall_origin: WallTime,
    /// The clients' behaviours and their weights. At least one weight is above 0.
    pub population: Vec<(Behaviour, u32)>,
    /// The actions of clients that behave like the original app.
    pub app: AppProfile,
    /// The ranges from which the clients' links are drawn.
    pub links: LinkProfile,
    /// The faults of the run.
    pub faults: FaultProfile,
    /// How long the server may take for pushes, answers and releases.
    pub bounds: Bounds,
    /// Whether `bounds.push` was set explicitly. If it was not, a third-party server has a third of the period, which
    /// `PROTOCOL.md` grants it.
    pub is_push_bound_explicit: bool,
    /// The file that the scenario was read from, for the command line that repeats a run; `None` for a built-in
    /// scenario.
    pub file: Option<PathBuf>,
}

/// The time limits of a server, in addition to the latency of the links. Each is at most 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the due instant until the server hands the push to the link.
    pub push: Duration,
    /// From a message's arrival until the server hands its answer to the link.
    pub reply: Duration,
    /// From the end of a connection until the server drops it, in addition to the close timeout.
    pub release: Duration,
}

/// The behaviour of the original app. Each time lies between 1 s and 366 days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppProfile {
    /// The time between two heartbeats; `None` for no heartbeats.
    pub heartbeat: Option<Duration>,
    /// How long the switch for pushes stays on and off; `None` if the client never uses it.
    pub switch: Option<SwitchProfile>,
    /// The mean time between two restarts of the app; `None` for no restarts.
    pub restart: Option<Duration>,
}

/// How a client uses its switch for pushes: on is subscribed, off is unsubscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchProfile {
    /// The mean time that the switch stays on.
    pub on: Duration,
    /// The mean time that the switch stays off.
    pub off: Duration,
}

/// The faults of a run, in addition to the clients' behaviours. Each count is at most 1000.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultProfile {
    /// The mean time between two faults of one client's link or process; `None` for no such faults.
    pub per_client: Option<Duration>,
    /// How many times the server is paused, for up to four periods each.
    pub pauses: u32,
    /// How many times the server's wall clock is set forward or backward.
    pub clock_jumps: u32,
    /// How many times the server is restarted.
    pub restarts: u32,
    /// Whether the faults of most clients end three periods before the run does. The server must then serve these
    /// clients.
    pub heals: bool,
}

/// 2026-11-22 12:00:00 UTC.
const NOON: WallTime = WallTime::from_unix_seconds(1_795_348_800);

/// The name of the scenario that runs by default.
pub(crate) const DEFAULT_SCENARIO: &str = "day";

/// The default number of clients.
pub(crate) const DEFAULT_CLIENTS: u32 = 10_000;

/// The default virtual time of a run.
pub(crate) const DEFAULT_DURATION: Duration = Duration::from_secs(24 * 3600);

/// The default time between two pushes.
pub(crate) const DEFAULT_PERIOD: Duration = Duration::from_secs(300);

/// The default bounds, which the reference server keeps easily.
pub(crate) const USUAL_BOUNDS: Bounds = Bounds {
    push: Duration::from_millis(500),
    reply: Duration::from_secs(1),
    release: Duration::from_secs(1),
};

impl Scenario {
    /// Whether the scenario contains faults, or behaviours other than [`Behaviour::App`].
    pub fn has_hazards(&self) -> bool {
        let is_trouble = |(behaviour, weight): &(Behaviour, u32)| *behaviour != Behaviour::App && *weight > 0;
        self.faults != FaultProfile::default() || self.population.iter().any(is_trouble)
    }

    /// The bounds for a third-party server. Without an explicit bound it may send a push until a third of the period is
    /// over, if the push can then arrive before the next is due.
    pub(crate) fn foreign_bounds(&self) -> Bounds {
        let push = self.bounds.push;
        if self.is_push_bound_explicit || push != USUAL_BOUNDS.push {
            return self.bounds;
        }
        let period = self.server.period;
        let in_time = period.saturating_sub(self.links.longest_way() + Duration::from_millis(1));
        Bounds { push: (period / 3).min(in_time).max(push), ..self.bounds }
    }

    /// A scenario whose clients send Hello and then only read, without faults.
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
