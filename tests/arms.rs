//! The same scenario on every arm.

use std::time::Duration;

use carillon_simulator::paused::{PausedTarget, ShellService};
use carillon_simulator::{CoreTarget, Outcome, Rng, Scenario, Target, Trace, World};

fn run<T: Target>(scenario: Scenario, target: T, rng: &Rng) -> Outcome {
    World::new(scenario, target, rng, Trace::default()).run(|_| ())
}

#[test]
fn day_on_the_paused_arm() {
    let scenario = Scenario::day(100, Duration::from_secs(3600 * 6), Duration::from_secs(300));
    for seed in 0..5 {
    let rng = Rng::new(seed);
    let core = CoreTarget::new(&scenario.server, scenario.zone.clone(), 2, rng.fork("server")).unwrap();
    let core = run(scenario.clone(), core, &rng);
    let target = PausedTarget::new(scenario.wall_origin, |clock| {
        ShellService::start(&scenario.server, scenario.zone.clone(), 2, rng.fork("server"), clock).unwrap()
    }).unwrap();
    let paused = run(scenario.clone(), target, &rng);
    for i in 0..15 { println!("G{} {:?} {:?}", i+1, core.score.tallies[i], paused.score.tallies[i]); }
    println!("{:?} {:?} {} {}", core.observed, paused.observed, core.events, paused.events);
    for v in paused.score.violations.iter().take(5) { println!("{v:?}"); }
    }
}
