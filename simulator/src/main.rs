//! x
use carillon_simulator::*;
use std::time::{Duration, Instant};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let sc = Scenario::named(
        &a[1],
        a[2].parse().unwrap(),
        Duration::from_secs(3600) * a[3].parse::<u32>().unwrap(),
        Duration::from_secs(300),
    )
    .unwrap();
    let rng = Rng::new(a[4].parse().unwrap());
    let t = CoreTarget::new(&sc.server, sc.zone.clone(), sc.shards, rng.fork("server")).unwrap();
    let t0 = Instant::now();
    let o = World::new(sc, t, &rng, Trace::default()).run(|_| ());
    let e = t0.elapsed().as_secs_f64();
    for (i, t) in o.score.tallies.iter().enumerate() {
        println!("G{} {:?}", i + 1, t);
    }
    for v in o.score.violations.iter().take(10) {
        println!("{v:?}");
    }
    println!(
        "{:?} del {} ev {} races {:?} digest {:x} obs {:x} wall {e:.2} del/s {:.2}M ev/s {:.2}M p50 {} p99 {} max {}",
        o.virtual_time,
        o.score.deliveries,
        o.events,
        o.score.races,
        o.digest,
        o.observed,
        o.score.deliveries as f64 / e / 1e6,
        o.events as f64 / e / 1e6,
        o.score.latency.value_at_quantile(0.5),
        o.score.latency.value_at_quantile(0.99),
        o.score.latency.max()
    );
}
