//! Who comes first in a fan-out, and who last.

use std::time::Duration;

use carillon_server::hub::SLICE;
use carillon_server::{Announcer, Config, ConnectionId, Hub, LogLine, Now, Timestamp, Wire, Zone};

use crate::support::frames::REQUEST;

const SUBSCRIBERS: usize = 1000;

const CYCLES: u32 = 100;

const PERIOD: Duration = Duration::from_secs(300);

/// A wire that takes everything, and remembers in which order a fan-out went.
#[derive(Default)]
struct Order(Vec<usize>);

impl Wire for Order {
    fn send(&mut self, _to: ConnectionId, bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]) {
        assert!(to.len() <= SLICE, "a slice of {}", to.len());
        self.0.extend(to.iter().map(|connection| connection.index()));
        taken.fill(frame.len());
    }

    fn resume(&mut self, _connection: ConnectionId) {}

    fn shutdown(&mut self, _connection: ConnectionId) {}

    fn close(&mut self, _connection: ConnectionId) {}

    fn log(&mut self, _line: LogLine<'_>) {}
}

/// The order of each of many cycles.
fn orders() -> Vec<Vec<usize>> {
    // Nobody is pinged meanwhile.
    let config = Config { ping_interval: CYCLES * 2 * PERIOD, period: PERIOD, ..Config::default() };
    let mut hub = Hub::new(config, 1).expect("the configuration is valid");
    let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
    let mut now = Now::default();
    for _ in 0..SUBSCRIBERS {
        let connection = hub.handle_connect(now, true);
        hub.handle_input(connection, REQUEST, now, &mut Order::default());
    }
    let mut cycle = |index: u32| {
        now.at = Timestamp::ZERO + PERIOD * (index + 1);
        announcer.handle_timeout(now);
        for push in announcer.pushes_after(u64::from(index)) {
            hub.handle_push(push.clone());
        }
        let mut order = Order::default();
        while hub.poll_timeout() == Some(Timestamp::ZERO) {
            hub.handle_timeout(now, &mut order);
        }
        order.0
    };
    (0..CYCLES).map(&mut cycle).collect()
}

#[test]
fn nobody_is_always_last() {
    let orders = orders();
    let mut lasts: Vec<_> = orders.iter().map(|order| order[SUBSCRIBERS - 1]).collect();
    lasts.sort_unstable();
    lasts.dedup();
    assert_eq!(lasts.len(), CYCLES as usize, "each cycle has another last one");
    let mut ranks = vec![0; SUBSCRIBERS];
    for order in &orders {
        order.iter().enumerate().for_each(|(rank, &subscriber)| ranks[subscriber] += rank);
    }
    for (subscriber, sum) in ranks.into_iter().enumerate() {
        let mean = sum / orders.len();
        assert!((450..550).contains(&mean), "subscriber {subscriber} comes {mean}th of 1000 on the average");
    }
}
