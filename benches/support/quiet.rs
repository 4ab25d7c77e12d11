//! A hub whose output is discarded.

use std::hint::black_box;

use carillon_server::{Config, ConnectionId, Hub, LogLine, Now, Wire};

use super::frames;

/// A wire that accepts all bytes and discards them.
pub(crate) struct Discard;

impl Wire for Discard {
    fn send(&mut self, _to: ConnectionId, bytes: &[u8]) -> usize {
        black_box(bytes).len()
    }

    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]) {
        for (connection, taken) in to.iter().zip(taken) {
            *taken = black_box((connection, frame)).1.len();
        }
    }

    fn resume(&mut self, _connection: ConnectionId) {}

    fn shutdown(&mut self, _connection: ConnectionId) {}

    fn close(&mut self, connection: ConnectionId) {
        panic!("{connection:?} was closed");
    }

    fn log(&mut self, line: LogLine<'_>) {
        black_box(line);
    }
}

/// A hub with this many open connections, all of them subscribed at `now`.
pub(crate) fn open_hub(config: &Config, connections: usize, now: Now) -> (Hub, Vec<ConnectionId>) {
    let mut hub = Hub::new(config.clone(), 1).expect("the scenario is valid");
    let ids: Vec<_> = (0..connections).map(|_| hub.handle_connect(now, true)).collect();
    for &id in &ids {
        hub.handle_input(id, frames::REQUEST, now, &mut Discard);
    }
    assert_eq!(hub.census().subscribed, connections, "an upgrade was refused");
    (hub, ids)
}
