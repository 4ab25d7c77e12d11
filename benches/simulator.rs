//! The speed of the simulator, with the oracle and the digest on, and the memory of a virtual client.
//!
//! `CARILLON_BENCH_LARGE=1 cargo bench --bench simulator` adds runs to the table that take minutes and a gigabyte.

mod support;

use std::env;
use std::time::Duration;

use carillon_simulator::{Arm, RunOptions, run_arm};
use carillon_simulator::{Outcome, Scenario};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};

use support::child::{self, Child};
use support::machine;

const PERIOD: Duration = Duration::from_secs(300);

const SEED: u64 = 1;

/// Scenario, clients, hours. With this seed `swarm` draws every kind of fault.
const TABLE: [Size; 5] = [
    ("fanout", 10_000, 24),
    ("day", 10_000, 24),
    ("swarm", 10_000, 2),
    ("fanout", 100_000, 2),
    ("day", 100_000, 2),
];

const LARGE: [Size; 4] =
    [("fanout", 100_000, 24), ("day", 100_000, 24), ("fanout", 1_000_000, 1), ("day", 1_000_000, 1)];

type Size = (&'static str, u32, u64);

fn main() {
    if let Some(role) = child::role() {
        let [name, clients, hours] = &role[..] else { panic!("{role:?}") };
        report_one(name, clients.parse().expect("a number"), hours.parse().expect("a number"));
        return;
    }
    measure();
    print_table();
}

fn measure() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("simulator");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, clients, hours) in [("fanout", 10_000, 2), ("day", 10_000, 2)] {
        let scenario = scenario(name, clients, hours);
        let outcome = simulate(&scenario);
        let count = if name == "day" { outcome.events } else { outcome.score.deliveries };
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new(name, format!("{clients} × {hours} h")), |bencher| {
            bencher.iter(|| simulate(&scenario));
        });
    }
    group.finish();
    criterion.final_summary();
}

fn scenario(name: &str, clients: u32, hours: u64) -> Scenario {
    let duration = Duration::from_secs(hours * 3600);
    Scenario::named(name, clients, duration, PERIOD, SEED).expect("it is built in")
}

fn simulate(scenario: &Scenario) -> Outcome {
    let outcome =
        run_arm(Arm::Core, scenario, SEED, RunOptions::default(), |_| {}).expect("the scenario is valid");
    assert_eq!(outcome.score.violations, [], "the reference server keeps its promises");
    outcome
}

fn print_table() {
    println!(
        "One core, oracle and digest on, seed {SEED}; rates per second of processor time; memory is the peak:\n"
    );
    println!(
        "| scenario | clients | virtual | processor | deliveries/s | events/s | bytes per client | digest |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let large = if env::var_os("CARILLON_BENCH_LARGE").is_some() { &LARGE[..] } else { &[] };
    for (name, clients, hours) in TABLE.iter().chain(large) {
        // In a separate process, as the peak of a process never falls.
        println!("{}", Child::start(&format!("{name} {clients} {hours}")).hear());
    }
    println!();
}

/// Runs a child: one run, one row.
fn report_one(name: &str, clients: u32, hours: u64) {
    let scenario = scenario(name, clients, hours);
    let before = machine::peak_resident();
    let (outcome, spent) = machine::accounted(|| simulate(&scenario));
    let memory = (machine::peak_resident() - before) / u64::from(clients);
    let rate = |count: u64| format!("{:.2} M", count as f64 / spent.as_secs_f64() / 1e6);
    let (deliveries, events) = (rate(outcome.score.deliveries), rate(outcome.events));
    let (spent, digest) = (spent.as_secs_f64(), outcome.digest);
    child::report(&format!(
        "| {name} | {clients} | {hours} h | {spent:.2} s | {deliveries} | {events} | {memory} | {digest:016x} |"
    ));
}
