//! The core's share of a fan-out: the hub's walk over its subscribers, on a wire that discards all bytes.

mod support;

use std::sync::Arc;
use std::time::Duration;

use carillon_server::{Announcer, Hub, Now, Push, Timestamp};
use carillon_simulator::Scenario;
use criterion::{BenchmarkId, Criterion, Throughput};

use support::quiet::{Discard, open_hub};

const SUBSCRIBERS: [u32; 4] = [100, 1_000, 10_000, 100_000];

const PERIOD: Duration = Duration::from_secs(300);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("fanout_core");
    for subscribers in SUBSCRIBERS {
        let scenario = Scenario::fanout(subscribers, PERIOD, PERIOD);
        let (push, due) = first_push(&scenario);
        let (mut hub, _) = open_hub(&scenario.server, subscribers as usize, Now::default());
        group.throughput(Throughput::Elements(subscribers.into()));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            bencher.iter(|| fan_out(&mut hub, &push, due));
        });
        assert_eq!(hub.counters().deliveries, hub.counters().pushes * u64::from(subscribers));
    }
    group.finish();
    criterion.final_summary();
}

fn first_push(scenario: &Scenario) -> (Arc<Push>, Now) {
    let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, scenario.zone.clone());
    let due = Now { at: Timestamp::ZERO + PERIOD, wall: scenario.wall_origin };
    announcer.handle_timeout(due);
    let push = announcer.pushes_after(0).next().expect("cycle 1 is due").clone();
    (push, due)
}

/// From the push to the end of its walk, slice by slice.
fn fan_out(hub: &mut Hub, push: &Arc<Push>, due: Now) {
    hub.handle_push(Arc::clone(push));
    while hub.poll_timeout() == Some(Timestamp::ZERO) {
        hub.handle_timeout(due, &mut Discard);
    }
}
