//! The built-in scenarios.

use std::time::Duration;

use carillon_server::Config;

use super::{AppProfile, Behaviour, FaultProfile, Scenario, SwitchProfile, swarm};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

impl Scenario {
    /// The built-in scenario of this name; `None` if there is none. Only `swarm` uses the seed.
    ///
    /// The values are not checked; see [`Scenario::check`].
    pub fn named(name: &str, clients: u32, duration: Duration, period: Duration, seed: u64) -> Option<Self> {
        match name {
            "churn" => Some(Self::churn(clients, duration, period)),
            "day" => Some(Self::day(clients, duration, period)),
            "drain" => Some(Self::drain(clients, duration, period)),
            "fanout" => Some(Self::fanout(clients, duration, period)),
            "hostile" => Some(Self::hostile(clients, duration, period)),
            "slow" => Some(Self::slow(clients, duration, period)),
            "storm" => Some(Self::storm(clients, duration, period)),
            "swarm" => Some(swarm::draw(clients, duration, period, seed)),
            _ => None,
        }
    }

    /// The built-in scenarios: name and description.
    pub const BUILT_IN: [(&'static str, &'static str); 8] = [
        ("churn", "clients that connect and leave all the time, in every possible way"),
        ("day", "the original app: heartbeats, a switch, and some restarts"),
        ("drain", "a shutdown with slow readers and half-open connections"),
        ("fanout", "the plain delivery rate: one Hello, then only pushes"),
        ("hostile", "malformed input of every kind among ordinary clients"),
        ("slow", "slow readers, never-readers and echo floods among ordinary clients"),
        ("storm", "server restarts and pauses, after which all clients return at once"),
        ("swarm", "population, faults and limits drawn from the seed"),
    ];

    /// A day of the original app: Hello on opening, a heartbeat every 15 minutes, the switch off a tenth of the time,
    /// and some restarts.
    pub fn day(clients: u32, duration: Duration, period: Duration) -> Self {
        // Longer than the heartbeat: the server does not ping an active app, but detects a dead one.
        let server = Config { period, ping_interval: HOUR / 2, ..Config::default() };
        Self { app: AppProfile::of_the_original_app(), ..Self::quiet("day", clients, duration, server) }
    }

    /// The plain delivery rate: one Hello, then only pushes.
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

    /// Clients that behave like the original app, but act more often, with a server that has short timeouts.
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
}

impl AppProfile {
    /// The behaviour of the original app, which does not define the heartbeat's interval: here it is 15 minutes.
    pub fn of_the_original_app() -> Self {
        Self {
            heartbeat: Some(15 * MINUTE),
            switch: Some(SwitchProfile { on: 3 * HOUR, off: HOUR / 3 }),
            restart: Some(12 * HOUR),
        }
    }
}

impl FaultProfile {
    /// Faults of the clients' links and processes only, with this mean time between two faults of a client.
    fn of_clients(mean: Duration) -> Self {
        Self { per_client: Some(mean), heals: true, ..Self::default() }
    }
}
