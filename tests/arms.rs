//! The same scenario on the core arm and on the paused arm, where the whole shell runs.

use std::time::Duration;

use carillon_simulator::paused::{PausedTarget, ShellService};
use carillon_simulator::{CoreTarget, Guarantee, Outcome, Rng, Scenario, Target, Trace, World};

const HOUR: Duration = Duration::from_secs(3600);
const SEEDS: std::ops::Range<u64> = 0..5;

/// Whatever a day of the app can put to the test: it never sends what RFC 6455 forbids.
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
fn what_the_clients_see_is_the_same_on_both_arms() {
    for seed in SEEDS {
        let (core, paused) = (on_the_core_arm(&day(), seed), on_the_paused_arm(&day(), seed));
        assert_eq!(core.observed, paused.observed, "seed {seed}");
        assert_eq!(core.score.deliveries, paused.score.deliveries, "seed {seed}");
    }
}

/// A hundred clients for six hours, which are 72 cycles of five minutes.
pub(crate) fn day() -> Scenario {
    Scenario::day(100, 6 * HOUR, Duration::from_secs(300))
}

pub(crate) fn on_the_core_arm(scenario: &Scenario, seed: u64) -> Outcome {
    let rng = Rng::new(seed);
    let target =
        CoreTarget::new(&scenario.server, scenario.zone.clone(), scenario.shards, rng.fork("server"));
    run(scenario, target.expect("the scenario's limits keep the promises"), &rng)
}

pub(crate) fn on_the_paused_arm(scenario: &Scenario, seed: u64) -> Outcome {
    let rng = Rng::new(seed);
    let target = PausedTarget::new(scenario.wall_origin, |clock| {
        ShellService::start(
            &scenario.server,
            scenario.zone.clone(),
            scenario.shards,
            rng.fork("server"),
            clock,
        )
        .expect("the scenario's limits keep the promises")
    });
    run(scenario, target.expect("the system has room for a runtime"), &rng)
}

fn run<T: Target>(scenario: &Scenario, target: T, rng: &Rng) -> Outcome {
    World::new(scenario.clone(), target, rng, Trace::default()).run(|_| ())
}

fn judge(outcomes: impl Iterator<Item = Outcome>) {
    let mut exercised = [0; 15];
    for (seed, outcome) in SEEDS.zip(outcomes) {
        assert_eq!(outcome.score.violations, [], "seed {seed}");
        assert_eq!(outcome.cycles, 72, "6 h / 5 min");
        for (sum, tally) in exercised.iter_mut().zip(outcome.score.tallies) {
            *sum += tally.exercised;
        }
    }
    for guarantee in EXERCISED {
        assert!(exercised[guarantee.index()] > 0, "{guarantee} was never put to the test");
    }
}
