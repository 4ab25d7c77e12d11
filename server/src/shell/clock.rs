//! The clocks: the only place where time is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{Local, Offset, TimeZone};
use tokio::time::Instant;

use crate::time::{Now, Timestamp, WallTime};
use crate::zone::Zone;

/// The longest sleep, 100 years. Adding [`Timestamp::MAX`] to an instant could overflow.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The source of a shell's time.
pub trait Clock: Send + Sync + 'static {
    /// The readings of both clocks. The monotonic one never runs backwards.
    fn now(&self) -> Now;

    /// The runtime's instant at which the monotonic clock shows `at`; a shard sleeps until it.
    fn instant(&self, at: Timestamp) -> Instant;
}

/// The clocks of the machine. The monotonic one is the runtime's, so that it stands still on a paused runtime.
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that shows [`Timestamp::ZERO`] now.
    #[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
    fn now(&self) -> Now {
        Now { at: Timestamp::ZERO + self.origin.elapsed(), wall: wall_time(SystemTime::now()) }
    }

    fn instant(&self, at: Timestamp) -> Instant {
        self.origin + at.since(Timestamp::ZERO).min(FAR)
    }
}

fn wall_time(time: SystemTime) -> WallTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => WallTime::default().after(after),
        Err(error) => WallTime::default().before(error.duration()),
    }
}

/// The time zone of the machine, with the offset that the machine's zone database has for each instant.
pub fn system_zone() -> Zone {
    Zone::Function(|unix_seconds| {
        let at = Local.timestamp_opt(unix_seconds, 0).earliest();
        at.map_or(0, |at| at.offset().fix().local_minus_utc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sleep_until_the_instant_of_a_timestamp_ends_at_that_timestamp() {
        let clock = SystemClock::new();
        let at = Timestamp::ZERO + Duration::from_millis(1500);
        tokio::time::sleep_until(clock.instant(at)).await;
        assert_eq!(clock.now().at, at);
    }

    #[test]
    fn the_largest_timestamp_has_an_instant() {
        let clock = SystemClock::new();
        assert!(clock.instant(Timestamp::MAX) > clock.instant(Timestamp::ZERO));
    }

    #[test]
    fn the_wall_clock_may_show_a_time_before_the_epoch() {
        assert_eq!(wall_time(UNIX_EPOCH - Duration::from_secs(1)).as_unix_seconds(), -1);
    }
}
