//! The clocks: the only place where time is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{Local, Offset, TimeZone};
use tokio::time::Instant;

use crate::time::{Now, Timestamp, WallTime};
use crate::zone::Zone;

/// Longer than any server runs: what a sleep is cut to, as the end of the clock is no instant to sleep until.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Where a shell takes its time from.
pub trait Clock: Send + Sync + 'static {
    /// What both clocks show. The monotonic one never runs backwards.
    fn now(&self) -> Now;

    /// The runtime's instant at which the monotonic clock shows `at`, to sleep until.
    fn instant(&self, at: Timestamp) -> Instant;
}

/// The clocks of the machine; the monotonic one is the runtime's, so that it stands still where that is paused.
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

/// The time zone of the machine, as its database has it for each instant.
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
    async fn a_timestamp_comes_back_from_the_instant_that_it_names() {
        let clock = SystemClock::new();
        let at = Timestamp::ZERO + Duration::from_millis(1500);
        tokio::time::sleep_until(clock.instant(at)).await;
        assert_eq!(clock.now().at, at);
    }

    #[test]
    fn the_end_of_time_is_an_instant_all_the_same() {
        let clock = SystemClock::new();
        assert!(clock.instant(Timestamp::MAX) > clock.instant(Timestamp::ZERO));
    }

    #[test]
    fn the_wall_clock_has_a_past() {
        assert_eq!(wall_time(UNIX_EPOCH - Duration::from_secs(1)).as_unix_seconds(), -1);
    }
}
