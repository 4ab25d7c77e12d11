//! Judges the instants that pushes state (G6), for a server whose zone and clock are unknown.
//!
//! A text states a whole second. It is at most one second before the due instant of its cycle, and not after its
//! arrival. So each text bounds the difference between the server's civil time and this machine's UTC on both
//! sides. As long as the bounds of all texts overlap, one clock explains them all.

use std::time::Duration;

use carillon_server::WallTime;
use chrono::NaiveDateTime;

/// Offsets of zones are quarters of an hour, from 12 hours west of Greenwich to 14 hours east.
const QUARTER: i64 = 900_000_000_000;
const ZONES: std::ops::RangeInclusive<i64> = -48..=56;

const SECOND: i64 = 1_000_000_000;

/// What is known about a server's clock.
#[derive(Debug)]
pub(crate) struct Stamps {
    /// Whether the server runs on this machine's clock, so that only its zone is unknown.
    is_local: bool,
    /// How many times faster the server's clock runs than this machine's.
    speed: u32,
    /// The due instant of the first text, in nanoseconds since 1970; a faster clock is scaled from there.
    origin: Option<i64>,
    /// Bounds for the difference between the server's civil time and our UTC, in nanoseconds.
    bounds: (i64, i64),
}

impl Stamps {
    pub(crate) fn new(is_local: bool, speed: u32) -> Self {
        Self { is_local: is_local && speed == 1, speed, origin: None, bounds: (i64::MIN, i64::MAX) }
    }

    /// Checks a text that arrived at `arrival`, of a cycle that was due at `due` or up to `slack` earlier.
    ///
    /// # Errors
    ///
    /// A sentence that says why the stated instant is wrong.
    pub(crate) fn check(
        &mut self,
        stated: NaiveDateTime,
        due: WallTime,
        arrival: WallTime,
        slack: Duration,
    ) -> Result<(), String> {
        let origin = *self.origin.get_or_insert(due.as_unix_nanos());
        let speed = i64::from(self.speed);
        let scaled =
            |wall: WallTime| origin.saturating_add((wall.as_unix_nanos() - origin).saturating_mul(speed));
        let civil = stated.and_utc().timestamp_nanos_opt().ok_or("an instant beyond the year 2262")?;
        let slack = (slack.as_nanos() as i64).saturating_mul(speed);
        let low = civil.saturating_sub(scaled(arrival));
        let high = civil.saturating_sub(scaled(due)).saturating_add(SECOND + slack);
        let both = (self.bounds.0.max(low), self.bounds.1.min(high));
        if both.0 <= both.1 && (!self.is_local || quarter(both).is_some()) {
            self.bounds = both;
            return Ok(());
        }
        Err(self.contradiction(low, high))
    }

    /// What was found out about the server's clock; `None` before the first text.
    pub(crate) fn finding(&self) -> Option<String> {
        self.origin?;
        Some(match quarter(self.bounds) {
            Some(quarters) if self.is_local => format!("zone taken to be {}", offset(quarters)),
            _ if self.speed > 1 => format!("a clock {} times as fast as this one", self.speed),
            _ => format!(
                "the server's clock is not this machine's, so its instants were compared with each other only; it \
                 shows about {:+.1} s relative to UTC here",
                self.bounds.0 as f64 / 1e9
            ),
        })
    }

    fn contradiction(&self, low: i64, high: i64) -> String {
        let seconds = |nanos: i64| nanos as f64 / 1e9;
        if self.bounds == (i64::MIN, i64::MAX) {
            return format!(
                "which no time zone explains: it is between {:.1} and {:.1} s off UTC",
                seconds(low),
                seconds(high)
            );
        }
        let between = (self.bounds.0 as f64 + self.bounds.1 as f64) / 2e9;
        let off = (low as f64 + high as f64) / 2e9 - between;
        format!("which is about {off:+.1} s off what the server's earlier pushes say")
    }
}

/// The number of quarters of an hour within the bounds that is nearest to 0.
fn quarter((low, high): (i64, i64)) -> Option<i64> {
    let fits = |quarters: &i64| (low..=high).contains(&(quarters * QUARTER));
    ZONES.filter(fits).min_by_key(|quarters| quarters.abs())
}

/// A zone offset in quarters of an hour, as `UTC+08:00`.
fn offset(quarters: i64) -> String {
    let sign = if quarters < 0 { '-' } else { '+' };
    format!("UTC{sign}{:02}:{:02}", quarters.abs() / 4, quarters.abs() % 4 * 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: Duration = Duration::from_millis(600);
    const NOON: i64 = 1_795_348_800;

    fn stated(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    fn wall(millis: i64) -> WallTime {
        WallTime::from_unix_nanos(NOON * SECOND + millis * 1_000_000)
    }

    fn check(stamps: &mut Stamps, text: &str, due: i64, arrival: i64) -> Result<(), String> {
        stamps.check(stated(text), wall(due), wall(arrival), SLACK)
    }

    #[test]
    fn a_zone_explains_only_offsets_of_quarters_of_an_hour() {
        let mut stamps = Stamps::new(true, 1);
        assert_eq!(check(&mut stamps, "2026-11-22T20:00:00", 300, 310), Ok(()));
        assert_eq!(stamps.finding().unwrap(), "zone taken to be UTC+08:00");
        assert_eq!(check(&mut stamps, "2026-11-22T20:00:02", 2300, 2310), Ok(()));
        // 2.31 s before the due instant: the text of the cycle before.
        assert!(check(&mut stamps, "2026-11-22T20:00:02", 4310, 4310).is_err());
        assert!(check(&mut stamps, "2026-11-22T20:00:05", 4300, 4310).is_err(), "from the future");
        assert!(check(&mut Stamps::new(true, 1), "2026-11-22T12:11:00", 0, 10).is_err(), "no zone");
    }

    #[test]
    fn the_second_of_sending_is_as_right_as_that_of_the_due_instant() {
        let mut stamps = Stamps::new(true, 1);
        // Due at .900, rendered and sent 400 ms later.
        assert_eq!(check(&mut stamps, "2026-11-22T12:00:01", 900, 1300), Ok(()));
        assert_eq!(check(&mut stamps, "2026-11-22T12:00:02", 2900, 3300), Ok(()));
    }

    #[test]
    fn another_machines_clock_may_have_any_offset_but_must_run() {
        let mut stamps = Stamps::new(false, 1);
        assert_eq!(check(&mut stamps, "2001-01-01T00:00:00", 0, 10), Ok(()));
        assert_eq!(check(&mut stamps, "2001-01-01T00:00:02", 2000, 2010), Ok(()));
        assert!(check(&mut stamps, "2001-01-01T00:00:02", 6000, 6010).is_err());
        let mut fast = Stamps::new(true, 150);
        assert_eq!(check(&mut fast, "2026-11-22T12:00:00", 0, 10), Ok(()));
        assert_eq!(check(&mut fast, "2026-11-22T12:05:00", 2000, 2010), Ok(()));
        assert!(check(&mut fast, "2026-11-22T12:05:00", 6000, 6010).is_err());
    }
}
