//! What is simulated: population, behaviour, links and limits, as a value.

use std::time::Duration;

use carillon_server::{Config, WallTime, Zone};

use crate::checker::Bounds;
use crate::link::LinkProfile;

/// A run, but for its seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
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
    /// What the clients do.
    pub app: AppProfile,
    /// What the links are like.
    pub links: LinkProfile,
    /// How long the server may take.
    pub bounds: Bounds,
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

/// 2026-11-22 12:00:00 UTC.
const NOON: WallTime = WallTime::from_unix_seconds(1_795_348_800);

const HOUR: Duration = Duration::from_secs(3600);

impl Scenario {
    /// The names of the built-in scenarios.
    pub const NAMES: [&'static str; 2] = ["day", "fanout"];

    /// The built-in scenario of this name.
    pub fn named(name: &str, clients: u32, duration: Duration, period: Duration) -> Option<Self> {
        match name {
            "day" => Some(Self::day(clients, duration, period)),
            "fanout" => Some(Self::fanout(clients, duration, period)),
            _ => None,
        }
    }

    /// The app of the seed document through a day: Hello on opening, a heartbeat every 15 minutes, the switch off a tenth
    /// of the time, and now and then a restart.
    pub fn day(clients: u32, duration: Duration, period: Duration) -> Self {
        let app = AppProfile {
            heartbeat: Some(Duration::from_secs(900)),
            switch: Some(SwitchProfile { on: 3 * HOUR, off: HOUR / 3 }),
            restart: Some(12 * HOUR),
        };
        // Longer than the heartbeat: an app that talks is not pinged, and one that is gone is found out.
        let server = Config { period, ping_interval: HOUR / 2, ..Config::default() };
        Self::new("day", clients, duration, server, app)
    }

    /// The plain delivery rate: one Hello, then nothing but pushes.
    pub fn fanout(clients: u32, duration: Duration, period: Duration) -> Self {
        let app = AppProfile { heartbeat: None, switch: None, restart: None };
        let server = Config { period, ping_interval: 48 * HOUR, ..Config::default() };
        Self::new("fanout", clients, duration, server, app)
    }

    fn new(name: &'static str, clients: u32, duration: Duration, server: Config, app: AppProfile) -> Self {
        Self {
            name,
            clients,
            duration,
            server,
            shards: 2,
            zone: Zone::Fixed(8 * 3600),
            wall_origin: NOON,
            app,
            links: LinkProfile {
                min_latency: Duration::from_millis(3),
                max_latency: Duration::from_millis(250),
                max_jitter: Duration::from_millis(50),
                max_fragmented: 50,
            },
            bounds: Bounds {
                push: Duration::from_millis(500),
                reply: Duration::from_secs(1),
                release: Duration::from_secs(1),
            },
        }
    }
}
