//! The same scenario on the core arm and on the paused arm, which runs the whole shell; the same apps over TCP.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carillon_server::shell::{Clock, Journal, LogFormat, Options, Shard, SystemClock};
use carillon_server::{Announcer, Config, Zone};
use carillon_simulator::paused::{PausedTarget, ShellService};
use carillon_simulator::{AppProfile, CoreTarget, Guarantee, Outcome, Rng, Scenario, Target, Trace, World};
use futures::future::join_all;
use tokio::io::{DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio_tungstenite::client_async;

use crate::support::server::Running;
use crate::support::{app, soon};

const HOUR: Duration = Duration::from_secs(3600);
const SEEDS: std::ops::Range<u64> = 0..5;

/// The guarantees that a day of the app exercises: all but G12, as the app never sends what RFC 6455 forbids.
const EXERCISED: [Guarantee; 14] = [
    Guarantee::G1,
    Guarantee::G2,
    Guarantee::G3,
    Guarantee::G4,
    Guarantee::G5,
    Guarantee::G6,
    Guarantee::G7,
    Guarantee::G8,
    Guarantee::G9,
    Guarantee::G10,
    Guarantee::G11,
    Guarantee::G13,
    Guarantee::G14,
    Guarantee::G15,
];

#[test]
fn a_day_on_the_core_arm_breaks_no_promise_and_tests_nearly_all() {
    judge(SEEDS.map(|seed| on_the_core_arm(&day(), seed)));
}

#[test]
fn a_day_on_the_paused_arm_breaks_no_promise_and_tests_nearly_all() {
    judge(SEEDS.map(|seed| on_the_paused_arm(&day(), seed)));
}

#[test]
fn without_races_every_client_reads_the_same_on_both_arms() {
    let scenario = Scenario { app: AppProfile { switch: None, restart: None, ..day().app }, ..day() };
    for seed in SEEDS {
        let (core, paused) = (on_the_core_arm(&scenario, seed), on_the_paused_arm(&scenario, seed));
        assert_eq!(core.observed, paused.observed, "seed {seed}");
        // The last of the 288 cycles falls due with the shutdown, and does not fire.
        assert_eq!(core.score.deliveries, 50 * 287, "seed {seed}");
    }
}

#[test]
fn the_arms_differ_only_in_the_outcome_of_races() {
    for seed in SEEDS {
        let (core, paused) = (on_the_core_arm(&day(), seed), on_the_paused_arm(&day(), seed));
        let races: u64 = core.score.races.iter().sum();
        let difference = core.score.deliveries.abs_diff(paused.score.deliveries);
        assert!(difference <= races, "seed {seed}: {difference} deliveries, {races} races");
        for guarantee in [Guarantee::G5, Guarantee::G8, Guarantee::G9, Guarantee::G11, Guarantee::G13] {
            let exercised = |outcome: &Outcome| outcome.score.tallies[guarantee.index()].exercised;
            assert_eq!(exercised(&core), exercised(&paused), "seed {seed}, {guarantee}");
        }
    }
}

#[tokio::test]
async fn thirty_apps_over_tcp_see_every_promise_kept() {
    let shards = NonZeroUsize::new(2);
    let server = Running::start(Options { period: app::PERIOD, shards, ..Options::default() });
    let connect = async || server.try_connect().await.expect("the server has room");
    join_all((0..30).map(|index| app::live(connect, Rng::new(index)))).await;
    server.shut_down.send(()).expect("the server runs");
    soon(server.task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_same_thirty_apps_see_every_promise_kept_in_memory_on_virtual_time() {
    LocalSet::new()
        .run_until(async {
            let config = Config { period: app::PERIOD, ..Config::default() };
            let shard = shard(config);
            tokio::task::spawn_local(shard.run());
            let connect = async || {
                let (near, far) = duplex(1024);
                tokio::task::spawn_local(shard.serve(far, true));
                client_async("ws://carillon.test/ws", near).await.expect("the server has room").0
            };
            join_all((0..30).map(|index| app::live(connect, Rng::new(index)))).await;
            shard.emptied().await;
            assert_eq!(shard.census(), carillon_server::Census::default());
        })
        .await;
}

/// Fifty clients for 24 hours, which are 288 cycles of five minutes, so that each app restarts once or twice.
pub(crate) fn day() -> Scenario {
    Scenario::day(50, 24 * HOUR, Duration::from_secs(300))
}

pub(crate) fn on_the_core_arm(scenario: &Scenario, seed: u64) -> Outcome {
    let rng = Rng::new(seed);
    let target =
        CoreTarget::new(&scenario.server, scenario.zone.clone(), scenario.shards, rng.fork("server"));
    run(scenario, target.expect("the scenario's limits keep the promises"), &rng)
}

pub(crate) fn on_the_paused_arm(scenario: &Scenario, seed: u64) -> Outcome {
    let rng = Rng::new(seed);
    let (server, zone, shards) = (scenario.server.clone(), scenario.zone.clone(), scenario.shards);
    let randomness = rng.fork("server");
    let target = PausedTarget::new(scenario.wall_origin, move |clock| {
        ShellService::start(&server, zone.clone(), shards, randomness.clone(), clock)
            .expect("the scenario's limits keep the promises")
    });
    run(scenario, target.expect("the system has room for a runtime"), &rng)
}

/// A shard and its announcer, on the clock of the runtime.
fn shard(config: Config) -> Shard<DuplexStream> {
    let clock = SystemClock::new();
    let announcer = Announcer::new(clock.now().at, config.period, Zone::UTC);
    let journal =
        Journal::new(LogFormat::Text, Zone::UTC, io::sink()).expect("the system has room for a thread");
    Shard::new(config, Arc::new(Mutex::new(announcer)), Arc::new(clock), Arc::new(journal), 1)
        .expect("the configuration keeps the promises")
}

fn run<T: Target>(scenario: &Scenario, target: T, rng: &Rng) -> Outcome {
    World::new(scenario.clone(), target, rng, Trace::default()).run(|_| ())
}

fn judge(outcomes: impl Iterator<Item = Outcome>) {
    let mut exercised = [0; 15];
    for (seed, outcome) in SEEDS.zip(outcomes) {
        assert_eq!(outcome.score.violations, [], "seed {seed}");
        assert_eq!(outcome.cycles, 288, "24 h / 5 min");
        for (sum, tally) in exercised.iter_mut().zip(outcome.score.tallies) {
            *sum += tally.exercised;
        }
    }
    for guarantee in EXERCISED {
        assert!(exercised[guarantee.index()] > 0, "{guarantee} was never exercised");
    }
}
