//! Negative controls: a server with one defect must be convicted of the guarantee that it breaks, and the same server
//! without a defect must be acquitted. An oracle that never convicts proves nothing.

use std::sync::Arc;
use std::time::Duration;

use carillon_simulator::paused::{LocalFuture, PausedTarget, Service, Stream};
use carillon_simulator::{
    AppProfile, Behaviour, Census, FaultProfile, Guarantee, Rng, Scenario, Score, SwitchProfile, Trace, World,
};

use crate::catalogue::{Defect, Listing, Settings};
use crate::support::trial::trial_target;

const MINUTE: Duration = Duration::from_secs(60);

/// The number of seeds within which a defect must be convicted.
const SEEDS: u64 = 8;

/// Forty minutes of active clients of every kind, with a cycle a minute, three stalls of the server and a step of its
/// clock. With every other seed the faults last to the end.
fn trial(seed: u64) -> Scenario {
    let day = Scenario::day(40, 40 * MINUTE + MINUTE / 3, MINUTE);
    let mut server = day.server.clone();
    server.max_message = 1 << 10;
    server.outbox_limit = 4 << 10;
    server.ping_interval = 2 * MINUTE;
    let app = AppProfile {
        heartbeat: Some(MINUTE),
        switch: Some(SwitchProfile { on: 6 * MINUTE, off: 3 * MINUTE }),
        restart: Some(15 * MINUTE),
    };
    let faults = FaultProfile {
        per_client: Some(10 * MINUTE),
        pauses: 3,
        clock_jumps: 1,
        heals: seed.is_multiple_of(2),
        ..FaultProfile::default()
    };
    let population = Behaviour::ALL.map(|behaviour| (behaviour, 1)).to_vec();
    Scenario { name: "trial".to_owned(), server, app, faults, population, ..day }
}

fn judge(scenario: Scenario, target: PausedTarget, seed: u64) -> Score {
    World::new(scenario, target, &Rng::new(seed), Trace::default()).run(|_| ()).score
}

fn has_broken(score: &Score, guarantees: &[&str]) -> bool {
    let is_named = |guarantee: &Guarantee| guarantees.contains(&guarantee.to_string().as_str());
    Guarantee::ALL.iter().filter(|one| is_named(one)).any(|one| score.tallies[one.index()].violations > 0)
}

/// The first seed by which this defect is convicted of the right guarantee.
fn convicted_by(defect: Defect) -> Option<u64> {
    (1..=SEEDS).find(|&seed| {
        let scenario = trial(seed);
        let target = trial_target(&scenario, Some(defect));
        has_broken(&judge(scenario, target, seed), defect.guarantees())
    })
}

#[test]
fn the_server_without_a_defect_is_acquitted() {
    for seed in 1..=SEEDS {
        let scenario = trial(seed);
        let target = trial_target(&scenario, None);
        let score = judge(scenario, target, seed);
        assert!(score.violations.is_empty(), "seed {seed}: {:#?}", score.violations.first());
    }
}

/// A defect that shows only to a client that was slow, has a queue when the shutdown begins, and reads again in time.
/// Eight seeds of this scenario are not enough for it.
const RARE: [Defect; 1] = [Defect::DrainsLosingQueue];

/// Convicts every defect of one half of the catalogue. Two halves use two cores.
fn convict_half(half: usize) {
    let mine = Defect::ALL
        .iter()
        .copied()
        .enumerate()
        .filter(|(index, defect)| index % 2 == half && !RARE.contains(defect));
    let missed: Vec<Defect> =
        mine.map(|(_, defect)| defect).filter(|defect| convicted_by(*defect).is_none()).collect();
    for defect in &missed {
        println!("{defect:?} was not convicted of {:?}: {}", defect.guarantees(), defect.mistake());
    }
    assert!(missed.is_empty(), "not convicted within {SEEDS} seeds: {missed:?}");
}

#[test]
fn every_defect_of_the_catalogue_is_convicted_of_what_it_breaks() {
    convict_half(0);
}

#[test]
fn every_other_defect_of_the_catalogue_is_convicted_as_well() {
    convict_half(1);
}

/// The original app's listing as printed.
struct Printed(Arc<Listing>);

impl Service for Printed {
    fn serve(&self, stream: Stream) -> LocalFuture {
        Box::pin(Arc::clone(&self.0).serve(stream))
    }

    fn census(&self) -> Option<Census> {
        Some(Census { connections: self.0.census(), held: 0 })
    }
}

#[test]
fn the_listing_as_printed_is_convicted_of_duplicates_and_of_pushing_after_unsubscribe() {
    let scenario = Scenario::day(20, 4 * 60 * MINUTE, 5 * MINUTE);
    let settings = Settings {
        period: scenario.server.period,
        path: scenario.server.path.clone(),
        max_message: scenario.server.max_message,
        outbox_limit: scenario.server.outbox_limit,
        handshake_timeout: scenario.server.handshake_timeout,
        ping_interval: scenario.server.ping_interval,
        close_timeout: scenario.server.close_timeout,
        shards: 1,
    };
    let zone = scenario.zone.clone();
    let target = PausedTarget::new(scenario.wall_origin, move |clock| {
        let zone = zone.clone();
        Printed(Listing::start(
            settings.clone(),
            Arc::new(move || zone.civil(clock.wall())),
            Arc::new(|_| ()),
        ))
    });
    let score = judge(scenario, target.expect("the system has room for a runtime"), 1);
    assert!(has_broken(&score, &["G4"]), "each of 20 timers pushes to all: {:?}", score.tallies);
    assert!(has_broken(&score, &["G2"]), "unsubscribe is logged and not obeyed: {:?}", score.tallies);
    assert!(!has_broken(&score, &["G8", "G5"]), "its echo is right: {:#?}", score.violations.first());
}
