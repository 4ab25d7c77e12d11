//! The instants in the pushes of a server whose zone and clock are not known (G6).
//!
//! A text names a whole second: not more than one second before its cycle was due, and not later than it arrived. So
//! each text bounds the difference between the server's civil time and this machine's UTC from both sides. As long as
//! the bounds of all texts have something in common, one clock explains them all.

use std::time::Duration;

use carillon_server::WallTime;
use chrono::NaiveDateTime;

/// Zones stand in quarters of an hour, between 12 hours west of Greenwich and 14 east of it.
const QUARTER: i64 = 900_000_000_000;
const ZONES: std::ops::RangeInclusive<i64> = -48..=56;

const SECOND: i64 = 1_000_000_000;

/// What is known of a server's clock.
#[derive(Debug)]
pub(crate) struct Stamps {
    /// The server has this machine's clock, so that only its zone is open.
    is_local: bool,
    /// How many times faster its clock runs than this machine's.
    speed: u32,
    /// When the first text came; a faster clock is reckoned from there.
    origin: Option<i64>,
    /// The difference between its civil time and our UTC, in nanoseconds: at least and at most.
    bounds: (i64, i64),
}

impl Stamps {
    pub(crate) fn new(is_local: bool, speed: u32) -> Self {
        Self { is_local: is_local && speed == 1, speed, origin: None, bounds: (i64::MIN, i64::MAX) }
    }

    /// Takes in a text that came at `arrival`, of a cycle due at `due` or up to `slack` before it.
    ///
    /// # Errors
    ///
    /// What speaks against it.
    pub(crate) fn take(
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

    /// What was made of the server's clock; `None` before the first text.
    pub(crate) fn finding(&self) -> Option<String> {
        self.origin?;
        Some(match quarter(self.bounds) {
            Some(quarters) if self.is_local => format!("zone taken to be {}", offset(quarters)),
            _ if self.speed > 1 => format!("a clock {} times as fast as this one", self.speed),
            _ => format!(
                "the server's clock is not this machine's, so its instants were held against each other only; it \
                 reads about {:+.1} s against UTC here",
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

/// A number of quarters of an hour within the bounds; the one nearest to Greenwich.
fn quarter((low, high): (i64, i64)) -> Option<i64> {
    let fits = |quarters: &i64| (low..=high).contains(&(quarters * QUARTER));
    ZONES.filter(fits).min_by_key(|quarters| quarters.abs())
}

/// Quarters of an hour as `UTC+08:00`.
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

    fn take(stamps: &mut Stamps, text: &str, due: i64, arrival: i64) -> Result<(), String> {
        stamps.take(stated(text), wall(due), wall(arrival), SLACK)
    }

    #[test]
    fn a_zone_explains_what_is_a_quarter_of_an_hour_off_and_nothing_else() {
        let mut stamps = Stamps::new(true, 1);
        assert_eq!(take(&mut stamps, "2026-11-22T20:00:00", 300, 310), Ok(()));
        assert_eq!(stamps.finding().unwrap(), "zone taken to be UTC+08:00");
        assert_eq!(take(&mut stamps, "2026-11-22T20:00:02", 2300, 2310), Ok(()));
        // Two seconds and 310 ms before it was due: that of the cycle before.
        assert!(take(&mut stamps, "2026-11-22T20:00:02", 4310, 4310).is_err());
        assert!(take(&mut stamps, "2026-11-22T20:00:05", 4300, 4310).is_err(), "from the future");
        assert!(take(&mut Stamps::new(true, 1), "2026-11-22T12:11:00", 0, 10).is_err(), "no zone");
    }

    #[test]
    fn the_second_in_which_it_is_sent_is_as_good_as_that_in_which_it_was_due() {
        let mut stamps = Stamps::new(true, 1);
        // Due at .900, sent 400 ms later and rendered then.
        assert_eq!(take(&mut stamps, "2026-11-22T12:00:01", 900, 1300), Ok(()));
        assert_eq!(take(&mut stamps, "2026-11-22T12:00:02", 2900, 3300), Ok(()));
    }

    #[test]
    fn another_machines_clock_may_be_off_by_anything_but_must_run() {
        let mut stamps = Stamps::new(false, 1);
        assert_eq!(take(&mut stamps, "2001-01-01T00:00:00", 0, 10), Ok(()));
        assert_eq!(take(&mut stamps, "2001-01-01T00:00:02", 2000, 2010), Ok(()));
        assert!(take(&mut stamps, "2001-01-01T00:00:02", 6000, 6010).is_err());
        let mut fast = Stamps::new(true, 150);
        assert_eq!(take(&mut fast, "2026-11-22T12:00:00", 0, 10), Ok(()));
        assert_eq!(take(&mut fast, "2026-11-22T12:05:00", 2000, 2010), Ok(()));
        assert!(take(&mut fast, "2026-11-22T12:05:00", 6000, 6010).is_err());
    }
}
