//! Draws a scenario from a seed: population, faults and limits, each in one of many combinations.
//!
//! One run with a little of every fault finds fewer errors than many runs with much of a few faults (Groce and others,
//! "Swarm testing", ISSTA 2012).

use std::time::Duration;

use carillon_server::{Config, Zone};

use crate::network::link::LinkProfile;
use crate::rng::Rng;
use crate::scenario::Behaviour;
use crate::scenario::{AppProfile, FaultProfile, Scenario, SwitchProfile};

const MINUTE: Duration = Duration::from_secs(60);

/// The scenario of this seed.
pub(crate) fn draw(clients: u32, duration: Duration, period: Duration, seed: u64) -> Scenario {
    let mut rng = Rng::new(seed).fork("swarm");
    let server = draw_server(period, &mut rng);
    let mut scenario = Scenario::quiet("swarm", clients, duration, server);
    scenario.shards = rng.between(1, 4) as usize;
    scenario.zone = draw_zone(&scenario, &mut rng);
    scenario.population = draw_population(&mut rng);
    scenario.app = draw_app(&mut rng);
    scenario.links = draw_links(&mut rng);
    scenario.faults = draw_faults(&mut rng);
    scenario
}

fn draw_server(period: Duration, rng: &mut Rng) -> Config {
    let max_message = pick(rng, &[600, 1 << 10, 4 << 10, 16 << 10]);
    // From the smallest allowed limit to one that a few slow readers never fill.
    let largest_reply = max_message + 27;
    let outbox_limit = largest_reply * pick(rng, &[2, 2, 3, 8]);
    Config {
        period,
        max_message,
        outbox_limit,
        handshake_timeout: Duration::from_secs(rng.between(5, 20)),
        ping_interval: MINUTE * pick(rng, &[2, 4, 8, 16]) as u32,
        close_timeout: Duration::from_secs(rng.between(2, 8)),
        ..Config::default()
    }
}

/// An offset of whole quarter hours, or a change to or from daylight saving time in the middle of the run.
fn draw_zone(scenario: &Scenario, rng: &mut Rng) -> Zone {
    let offset = (rng.between(0, 104) as i32 - 48) * 900;
    if rng.chance(600) {
        return Zone::Fixed(offset);
    }
    let run = scenario.duration.as_secs();
    let at = scenario.wall_origin.as_unix_seconds() + rng.between(run / 4, run * 3 / 4 + 1) as i64;
    let shift = if rng.chance(500) { 3600 } else { -3600 };
    Zone::Switch { before: offset, at, after: offset + shift }
}

fn draw_population(rng: &mut Rng) -> Vec<(Behaviour, u32)> {
    let mut population = vec![(Behaviour::App, rng.between(3, 8) as u32)];
    for behaviour in Behaviour::ALL {
        if behaviour != Behaviour::App && rng.chance(600) {
            population.push((behaviour, rng.between(1, 4) as u32));
        }
    }
    population
}

fn draw_app(rng: &mut Rng) -> AppProfile {
    AppProfile {
        heartbeat: Some(MINUTE * pick(rng, &[1, 3, 5, 15]) as u32),
        switch: rng.chance(800).then(|| SwitchProfile {
            on: MINUTE * rng.between(5, 40) as u32,
            off: MINUTE * rng.between(2, 20) as u32,
        }),
        restart: rng.chance(700).then(|| MINUTE * rng.between(10, 90) as u32),
    }
}

fn draw_links(rng: &mut Rng) -> LinkProfile {
    LinkProfile {
        min_latency: Duration::from_millis(rng.between(1, 20)),
        max_latency: Duration::from_millis(rng.between(20, 400)),
        max_jitter: Duration::from_millis(rng.between(0, 80)),
        max_sliced: pick(rng, &[0, 50, 300, 1000]) as u64,
    }
}

fn draw_faults(rng: &mut Rng) -> FaultProfile {
    FaultProfile {
        per_client: rng.chance(700).then(|| MINUTE * rng.between(5, 60) as u32),
        pauses: pick(rng, &[0, 0, 1, 2]) as u32,
        clock_jumps: pick(rng, &[0, 0, 1, 2]) as u32,
        restarts: pick(rng, &[0, 0, 0, 1]) as u32,
        heals: true,
    }
}

fn pick(rng: &mut Rng, choices: &[usize]) -> usize {
    choices[rng.below(choices.len() as u64) as usize]
}
