//! The time that the core needs for one message of a client: unmask, decode, execute, and answer on a wire that
//! discards.

mod support;

use std::time::Duration;

use carillon_server::{ConnectionId, Hub, Now};
use carillon_simulator::Scenario;
use criterion::{BenchmarkId, Criterion, Throughput};

use support::frames;
use support::quiet::{Discard, open_hub};

/// One connection stays in the processor's cache; this many do not.
const CONNECTIONS: [u32; 2] = [1, 10_000];

const PERIOD: Duration = Duration::from_secs(300);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("commands");
    group.throughput(Throughput::Elements(1));
    let long = "x".repeat(1000);
    let messages = [
        ("subscribe", "subscribe"),
        ("unsubscribe", "unsubscribe"),
        ("echo", "Heartbeat"),
        ("echo 1000 B", &long),
    ];
    for connections in CONNECTIONS {
        let config = Scenario::day(connections, PERIOD, PERIOD).server;
        let (mut hub, ids) = open_hub(&config, connections as usize, Now::default());
        for (name, text) in messages {
            let (frame, mut turn) = (frames::text(text), ids.iter().cycle());
            group.bench_function(BenchmarkId::new(name, connections), |bencher| {
                bencher.iter(|| receive(&mut hub, turn.next(), &frame));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

fn receive(hub: &mut Hub, from: Option<&ConnectionId>, frame: &[u8]) {
    let from = *from.expect("the turn never ends");
    let taken = hub.handle_input(from, frame, Now::default(), &mut Discard);
    assert_eq!(taken, frame.len(), "a wire that discards never blocks");
}
