//! The configuration of the tested hub and of its model, in ticks.

use std::time::Duration;

use carillon_server::{Config, hub};

/// All times are multiples of a 64th of the shortest, so that the hub rounds no deadline: 3.2 s / 64 = 50 ms.
pub(crate) const TICK: Duration = Duration::from_millis(50);
pub(crate) const CLOSE_TIMEOUT: u64 = 64;
pub(crate) const HANDSHAKE_TIMEOUT: u64 = 128;
pub(crate) const PERIOD: u64 = 200;
pub(crate) const PING_INTERVAL: u64 = 512;

pub(crate) const MAX_MESSAGE: usize = 200;
/// The smallest valid outbox, in bytes: 2 × (10 header + 17 prefix + 200 text).
pub(crate) const OUTBOX_LIMIT: usize = 454;

/// 2026-11-22 12:00:00 UTC.
pub(crate) const NOON: i64 = 1_795_348_800;

/// The configuration for the hub.
pub(crate) fn config() -> Config {
    let config = Config {
        period: TICK * PERIOD as u32,
        max_message: MAX_MESSAGE,
        outbox_limit: OUTBOX_LIMIT,
        handshake_timeout: TICK * HANDSHAKE_TIMEOUT as u32,
        ping_interval: TICK * PING_INTERVAL as u32,
        close_timeout: TICK * CLOSE_TIMEOUT as u32,
        ..Config::default()
    };
    let grain = hub::dead_peer_bound(&config) - 2 * config.ping_interval;
    assert_eq!(grain, TICK, "deadlines are rounded to ticks");
    config
}
