//! Turns: the order of the clients in a fan-out, and the instants of their pings.

use std::sync::Arc;
use std::time::Duration;

use carillon_server::hub::SLICE;
use carillon_server::{
    Announcer, Census, Config, ConnectionId, Counters, Hub, LogLine, Now, Push, Timestamp, Wire, Zone,
};

use crate::support::frames::{PING, REQUEST, text};

const SUBSCRIBERS: usize = 1000;

const CYCLES: u32 = 100;

const PERIOD: Duration = Duration::from_secs(300);

/// A wire that accepts all bytes, and records the order of a fan-out and the number of pings.
#[derive(Default)]
struct Order {
    pushed: Vec<usize>,
    sends: usize,
    pings: usize,
    /// The number of subscribers of each finished fan-out, from its log line.
    logged: Vec<u64>,
}

impl Wire for Order {
    fn send(&mut self, _to: ConnectionId, bytes: &[u8]) -> usize {
        self.sends += 1;
        self.pings += usize::from(bytes == [PING, 0]);
        bytes.len()
    }

    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]) {
        assert!(to.len() <= SLICE, "a slice of {}", to.len());
        self.pushed.extend(to.iter().map(|connection| connection.index()));
        taken.fill(frame.len());
    }

    fn resume(&mut self, _connection: ConnectionId) {}

    fn shutdown(&mut self, _connection: ConnectionId) {}

    fn close(&mut self, _connection: ConnectionId) {}

    fn log(&mut self, line: LogLine<'_>) {
        if let LogLine::Pushed { subscribers, .. } = line {
            self.logged.push(subscribers);
        }
    }
}

/// A hub to which all clients connect at the same instant, as after a restart of a server.
fn crowded_hub(ping_interval: Duration) -> Hub {
    crowd(ping_interval).0
}

/// A hub with a crowd of clients, and their ids.
fn crowd(ping_interval: Duration) -> (Hub, Vec<ConnectionId>) {
    let config = Config { ping_interval, period: PERIOD, ..Config::default() };
    let mut hub = Hub::new(config, 1).expect("the configuration is valid");
    let connections = (0..SUBSCRIBERS).map(|_| {
        let connection = hub.handle_connect(Now::default(), true);
        hub.handle_input(connection, REQUEST, Now::default(), &mut Order::default());
        connection
    });
    let connections = connections.collect();
    (hub, connections)
}

/// Lets the hub finish its work, and counts the slices.
fn finish(hub: &mut Hub, now: Now, order: &mut Order) -> usize {
    let mut slices = 0;
    while hub.poll_timeout() == Some(Timestamp::ZERO) {
        hub.handle_timeout(now, order);
        slices += 1;
    }
    slices
}

/// The order of the clients in each of many cycles.
fn orders() -> Vec<Vec<usize>> {
    // No client is pinged meanwhile.
    let mut hub = crowded_hub(CYCLES * 2 * PERIOD);
    let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
    let mut now = Now::default();
    let mut cycle = |index: u32| {
        now.at = Timestamp::ZERO + PERIOD * (index + 1);
        announcer.handle_timeout(now);
        for push in announcer.pushes_after(u64::from(index)) {
            hub.handle_push(push.clone());
        }
        let mut order = Order::default();
        finish(&mut hub, now, &mut order);
        order.pushed
    };
    (0..CYCLES).map(&mut cycle).collect()
}

/// The push of the first cycle, and the time when it is due.
fn first_push() -> (Arc<Push>, Now) {
    let now = Now { at: Timestamp::ZERO + PERIOD, ..Now::default() };
    let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
    announcer.handle_timeout(now);
    (Arc::clone(announcer.pushes_after(0).next().expect("the first cycle is due")), now)
}

#[test]
fn a_fan_out_in_slices_is_counted_and_logged_as_one() {
    let mut hub = crowded_hub(PERIOD * 2);
    let (push, now) = first_push();
    hub.handle_push(push);
    let mut order = Order::default();
    let slices = finish(&mut hub, now, &mut order);
    assert_eq!(slices, SUBSCRIBERS.div_ceil(SLICE));
    assert_eq!(order.logged, [SUBSCRIBERS as u64]);
    let expected = Counters {
        connections: SUBSCRIBERS as u64,
        deliveries: SUBSCRIBERS as u64,
        pushes: 1,
        ..Counters::default()
    };
    assert_eq!(hub.counters(), expected);
}

#[test]
fn a_fan_out_that_began_in_time_is_finished_however_late_it_becomes() {
    let mut hub = crowded_hub(PERIOD * 2);
    let (push, now) = first_push();
    hub.handle_push(push);
    let mut order = Order::default();
    hub.handle_timeout(now, &mut order);
    let late = Now { at: now.at + PERIOD / 2, ..now };
    finish(&mut hub, late, &mut order);
    assert_eq!((order.pushed.len(), hub.counters().late_pushes), (SUBSCRIBERS, 0));
}

#[test]
fn a_push_may_be_late_by_a_third_of_the_period_and_not_by_a_nanosecond_more() {
    for (late, pushes, late_pushes) in [(PERIOD / 3, 1, 0), (PERIOD / 3 + Duration::from_nanos(1), 0, 1)] {
        let mut hub = crowded_hub(PERIOD * 2);
        let (push, now) = first_push();
        hub.handle_push(push);
        finish(&mut hub, Now { at: now.at + late, ..now }, &mut Order::default());
        assert_eq!((hub.counters().pushes, hub.counters().late_pushes), (pushes, late_pushes), "{late:?}");
    }
}

#[test]
fn a_walk_over_unsubscribed_clients_is_cut_into_slices_as_well() {
    // A slice visits up to 64 times as many slots as it serves.
    const UNSUBSCRIBED: usize = 64 * SLICE + 1;
    let config = Config { handshake_timeout: PERIOD * 2, ..Config::default() };
    let mut hub = Hub::new(config, 1).expect("the configuration is valid");
    for _ in 0..UNSUBSCRIBED {
        hub.handle_connect(Now::default(), true);
    }
    let (push, now) = first_push();
    hub.handle_push(push);
    let mut order = Order::default();
    hub.handle_timeout(now, &mut order);
    assert_eq!(hub.poll_timeout(), Some(Timestamp::ZERO), "one is left");
    hub.handle_timeout(now, &mut order);
    assert_ne!(hub.poll_timeout(), Some(Timestamp::ZERO), "none is left");
    assert_eq!(order.logged, [0]);
}

#[test]
fn a_census_adds_up_the_memory_of_all_clients() {
    let (mut hub, connections) = crowd(PERIOD);
    let all = Census { connections: SUBSCRIBERS, subscribed: SUBSCRIBERS, held: 0 };
    assert_eq!(hub.census(), all);
    let mut order = Order::default();
    let [one, other, third] = [connections[0], connections[1], connections[2]];
    let begun = &text(&"x".repeat(1000))[..500];
    hub.handle_input(one, begun, Now::default(), &mut order);
    let held = hub.census().held;
    assert!(held >= 500 - 8, "{held} bytes for a message of which 492 have arrived");
    hub.handle_input(other, begun, Now::default(), &mut order);
    hub.handle_input(third, &text("unsubscribe"), Now::default(), &mut order);
    assert_eq!(hub.census(), Census { subscribed: SUBSCRIBERS - 1, held: 2 * held, ..all });
}

#[test]
fn all_answers_to_one_input_go_out_in_one_piece() {
    let (mut hub, connections) = crowd(PERIOD);
    let mut order = Order::default();
    let input = ["a", "subscribe", "b", "c"].map(text).concat();
    assert_eq!(hub.handle_input(connections[0], &input, Now::default(), &mut order), input.len());
    assert_eq!(order.sends, 1);
}

#[test]
fn a_hub_tells_its_configuration() {
    assert_eq!(crowded_hub(PERIOD * 7).config().ping_interval, PERIOD * 7);
}

#[test]
fn no_client_is_always_last() {
    let orders = orders();
    let mut lasts: Vec<_> = orders.iter().map(|order| order[SUBSCRIBERS - 1]).collect();
    lasts.sort_unstable();
    lasts.dedup();
    assert_eq!(lasts.len(), CYCLES as usize, "each cycle has another last client");
    let mut ranks = vec![0; SUBSCRIBERS];
    for order in &orders {
        order.iter().enumerate().for_each(|(rank, &subscriber)| ranks[subscriber] += rank);
    }
    for (subscriber, sum) in ranks.into_iter().enumerate() {
        let mean = sum / orders.len();
        assert!((450..550).contains(&mean), "subscriber {subscriber} comes {mean}th of 1000 on the average");
    }
}

#[test]
fn pings_are_spread_over_time() {
    const INTERVAL: Duration = Duration::from_secs(60);
    let mut hub = crowded_hub(INTERVAL);
    let mut pings = Vec::new();
    while pings.iter().sum::<usize>() < SUBSCRIBERS {
        let at = hub.poll_timeout().expect("a client must be pinged");
        let mut order = Order::default();
        hub.handle_timeout(Now { at, ..Now::default() }, &mut order);
        if order.pings > 0 {
            let early = Timestamp::ZERO + INTERVAL * 7 / 8;
            assert!(at > early, "a ping at {at:?} is more than an eighth of the interval early");
            pings.push(order.pings);
        }
    }
    // They are spread over 7.5 s, and timers share ticks of 5 s / 64: 96 ticks, 10 pings each on the average.
    assert!(pings.len() > 80, "pings at {} instants", pings.len());
    assert!(pings.iter().all(|pings| *pings < 40), "{pings:?}");
}
