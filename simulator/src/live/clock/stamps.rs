//! Judges the instants that pushes state (G6), for a server whose zone and clock are unknown.
//!
//! A text states a whole second. It is at most one second before the due instant of its cycle, and not after its
//! arrival. So each text bounds the difference between the server's civil time and this machine's UTC on both
//! sides. As long as the bounds of all texts overlap, one clock explains them all.
//!
//! The server's clock may be set, and its offset from UTC may change: then the bounds fall into few stretches of
//! cycles, each explained by one clock. So the verdict is given at the end, by the whole run.

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::{WallTime, Zone};
use chrono::NaiveDateTime;

/// Offsets of zones are quarters of an hour, from 12 hours west of Greenwich to 14 hours east.
const QUARTER: i64 = 900_000_000_000;
const ZONES: std::ops::RangeInclusive<i64> = -48..=56;

const SECOND: i64 = 1_000_000_000;

/// The most changes of the clock in a run that count as such, and not as wrong texts.
const CHANGES: usize = 2;

/// The fewest cycles between two changes of the clock.
const STEADY: usize = 2;

/// Bounds of a difference between two clocks, in nanoseconds.
type Bounds = (i64, i64);

/// What is known about a server's clock.
#[derive(Debug)]
pub(crate) struct Stamps {
    /// Whether the server runs on this machine's clock, so that only its zone is unknown.
    is_local: bool,
    /// How many times faster the server's clock runs than this machine's.
    speed: u32,
    /// The zone that the texts must be in, if the tester states it.
    zone: Option<Zone>,
    /// The due instant of the first text, in nanoseconds since 1970; a faster clock is scaled from there.
    origin: Option<i64>,
    /// For each cycle: the bounds that its texts give, and the first text with its due instant.
    cycles: BTreeMap<u64, Stamp>,
}

#[derive(Clone, Debug)]
struct Stamp {
    bounds: Bounds,
    text: String,
    due: WallTime,
}

/// A stretch of cycles that one clock explains.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: u64,
    cycles: usize,
    bounds: Bounds,
}

/// The verdict on all texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Conclusion {
    /// Wrong texts: the cycle, and what is wrong.
    pub(crate) wrong: Vec<(u64, String)>,
    /// The first cycles after a change of the server's clock or of its offset.
    pub(crate) changes: Vec<u64>,
    /// What was found out about the server's clock.
    pub(crate) findings: Vec<String>,
}

impl Stamps {
    pub(crate) fn new(is_local: bool, speed: u32) -> Self {
        let is_local = is_local && speed == 1;
        Self { is_local, speed, zone: None, origin: None, cycles: BTreeMap::new() }
    }

    /// The same, for a server whose texts must be in this zone.
    pub(crate) fn in_zone(self, zone: Option<Zone>) -> Self {
        Self { zone, ..self }
    }

    /// Notes a text of `cycle`, which was due at `due` or up to `slack` earlier, and arrived at `arrival`.
    ///
    /// # Errors
    ///
    /// A sentence: the text contradicts another text of the same cycle.
    pub(crate) fn check(
        &mut self,
        (cycle, text): (u64, &str),
        stated: NaiveDateTime,
        due: WallTime,
        arrival: WallTime,
        slack: Duration,
    ) -> Result<(), String> {
        let origin = *self.origin.get_or_insert(due.as_unix_nanos());
        let speed = i64::from(self.speed);
        let scaled =
            |wall: WallTime| origin.saturating_add((wall.as_unix_nanos() - origin).saturating_mul(speed));
        let civil = stated.and_utc().timestamp_nanos_opt().ok_or("states an instant beyond the year 2262")?;
        let slack = (slack.as_nanos() as i64).saturating_mul(speed);
        let low = civil.saturating_sub(scaled(arrival));
        let high = civil.saturating_sub(scaled(due)).saturating_add(SECOND + slack);
        let fresh = || Stamp { bounds: (low, high), text: text.to_owned(), due };
        let known = self.cycles.entry(cycle).or_insert_with(fresh);
        let Some(both) = overlap(known.bounds, (low, high)) else {
            return Err(format!(
                "which is about {:+.1} s off what other clients got in the same cycle",
                middle((low, high)) - middle(known.bounds)
            ));
        };
        known.bounds = both;
        Ok(())
    }

    /// The verdict on all texts. `period` is the time between two cycles.
    pub(crate) fn conclude(&self, period: Duration) -> Conclusion {
        let stretches = self.stretches();
        let mut conclusion = Conclusion::default();
        let Some(first) = stretches.first() else { return conclusion };
        let inner = stretches.iter().skip(1).take(stretches.len().saturating_sub(2));
        let is_steady = inner.into_iter().all(|stretch| stretch.cycles >= STEADY);
        if stretches.len() > 1 + CHANGES || !is_steady {
            conclusion.wrong = self.outliers(&stretches);
            return conclusion;
        }
        let changes = stretches.windows(2).map(|pair| (pair[1].first, pair[0].bounds, pair[1].bounds));
        for (cycle, before, after) in changes {
            conclusion.changes.push(cycle);
            conclusion.findings.push(format!(
                "the server's clock, or its offset from UTC, changed by about {:+.0} s in the run",
                middle(after) - middle(before)
            ));
        }
        match self.wrong_zone(&stretches).or_else(|| self.unexplained(first, period)) {
            Some(sentence) => conclusion.wrong.push((first.first, sentence)),
            None => conclusion.findings.push(self.finding(first.bounds)),
        }
        conclusion
    }

    /// The fewest stretches of cycles that one clock each explains, in order.
    fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (cycle, stamp) in &self.cycles {
            match stretches.last_mut() {
                Some(last) if let Some(both) = overlap(last.bounds, stamp.bounds) => {
                    last.bounds = both;
                    last.cycles += 1;
                }
                _ => stretches.push(Stretch { first: *cycle, cycles: 1, bounds: stamp.bounds }),
            }
        }
        stretches
    }

    /// The cycles whose texts do not fit those of the longest stretch.
    fn outliers(&self, stretches: &[Stretch]) -> Vec<(u64, String)> {
        let Some(longest) = stretches.iter().max_by_key(|stretch| stretch.cycles) else { return Vec::new() };
        let wrong = self.cycles.iter().filter(|(_, stamp)| overlap(stamp.bounds, longest.bounds).is_none());
        let sentence = |stamp: &Stamp| {
            let off = middle(stamp.bounds) - middle(longest.bounds);
            format!("{:?}, which is about {off:+.1} s off what the server's other pushes say", stamp.text)
        };
        wrong.map(|(cycle, stamp)| (*cycle, sentence(stamp))).collect()
    }

    /// A sentence if the texts are not in the zone that the tester states.
    fn wrong_zone(&self, stretches: &[Stretch]) -> Option<String> {
        let zone = self.zone.as_ref()?;
        stretches.iter().find_map(|stretch| {
            let stamp = &self.cycles[&stretch.first];
            let due = i64::from(zone.offset(stamp.due.as_unix_seconds())) * SECOND;
            let is_right = (stretch.bounds.0..=stretch.bounds.1).contains(&due);
            let text = &stamp.text;
            (!is_right).then(|| {
                format!("{text:?}, but in the zone of --zone it was about {}", zone.format(stamp.due))
            })
        })
    }

    /// A sentence if the texts of a server on this machine are off by some seconds or cycles, and no zone explains
    /// that. A difference of another size is a clock of its own, which may be wrong.
    fn unexplained(&self, stretch: &Stretch, period: Duration) -> Option<String> {
        if !self.is_local || quarter(stretch.bounds).is_some() {
            return None;
        }
        let between = middle(stretch.bounds);
        let quarters = (between / 900.0).round();
        let off = between - quarters * 900.0;
        let is_near = off.abs() <= 2.0 * period.as_secs_f64() + 3.0;
        let text = &self.cycles[&stretch.first].text;
        let days = (between / 86_400.0).round();
        if (stretch.bounds.0..=stretch.bounds.1).contains(&(quarters as i64 * QUARTER)) && days.abs() >= 1.0 {
            // A clock that was set at random would not show the right minute and second.
            return Some(format!("{text:?}, whose date is {days:+} days off, and whose time is right"));
        }
        (is_near && ZONES.contains(&(quarters as i64)))
            .then(|| format!("{text:?}, which no time zone explains: all pushes are about {off:+.1} s off"))
    }

    fn finding(&self, bounds: Bounds) -> String {
        match quarter(bounds) {
            Some(quarters) if self.is_local => format!("zone taken to be {}", offset(quarters)),
            _ if self.speed > 1 => format!("a clock {} times as fast as this one", self.speed),
            _ => format!(
                "the server's clock is not this machine's, so its instants were compared with each other only; it \
                 shows about {:+.1} s relative to UTC here",
                middle(bounds)
            ),
        }
    }
}

/// What two bounds have in common, if anything.
fn overlap(one: Bounds, other: Bounds) -> Option<Bounds> {
    let both = (one.0.max(other.0), one.1.min(other.1));
    (both.0 <= both.1).then_some(both)
}

/// The middle of bounds, in seconds.
fn middle((low, high): Bounds) -> f64 {
    (low as f64 + high as f64) / 2e9
}

/// The number of quarters of an hour within the bounds that is nearest to 0.
fn quarter((low, high): Bounds) -> Option<i64> {
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
    const PERIOD: Duration = Duration::from_secs(2);
    const NOON: i64 = 1_795_348_800;

    fn wall(millis: i64) -> WallTime {
        WallTime::from_unix_nanos(NOON * SECOND + millis * 1_000_000)
    }

    /// The texts of cycles two seconds apart, of which the first is due 300 ms after noon: civil times of a day.
    fn run(mut stamps: Stamps, texts: &[&str]) -> Conclusion {
        for (cycle, text) in texts.iter().enumerate() {
            let due = 300 + 2000 * cycle as i64;
            let stated: NaiveDateTime = format!("2026-11-22T{text}").parse().unwrap();
            stamps.check((cycle as u64, text), stated, wall(due), wall(due + 10), SLACK).unwrap();
        }
        stamps.conclude(PERIOD)
    }

    fn local() -> Stamps {
        Stamps::new(true, 1)
    }

    #[test]
    fn a_zone_explains_only_offsets_of_quarters_of_an_hour() {
        let right = run(local(), &["20:00:00", "20:00:02", "20:00:04"]);
        assert_eq!((right.wrong.len(), right.findings), (0, vec!["zone taken to be UTC+08:00".to_owned()]));
        let wrong = run(local(), &["11:59:56", "11:59:58", "12:00:00"]).wrong;
        assert!(wrong.len() == 1 && wrong[0].1.contains("no time zone explains"), "{wrong:?}");
        let mut month = local();
        let stated: NaiveDateTime = "2026-10-22T12:00:00".parse().unwrap();
        month.check((1, "x"), stated, wall(300), wall(310), SLACK).unwrap();
        assert!(month.conclude(PERIOD).wrong[0].1.contains("-31 days off"));
        let other = run(local(), &["15:07:00", "15:07:02"]);
        assert!(other.wrong.is_empty() && other.findings[0].contains("not this machine's"), "{other:?}");
    }

    #[test]
    fn the_clock_may_be_set_and_daylight_saving_time_may_end() {
        let dst = run(local(), &["03:00:00", "03:00:02", "02:00:04", "02:00:06"]);
        assert_eq!((dst.wrong.len(), dst.changes), (0, vec![2]));
        let set = run(local(), &["12:00:00", "12:00:02", "12:05:04", "12:05:06", "12:00:08", "12:00:10"]);
        assert_eq!((set.wrong.len(), set.changes), (0, vec![2, 4]));
    }

    #[test]
    fn texts_that_are_wrong_now_and_then_or_stand_still_are_no_change_of_the_clock() {
        let once = run(local(), &["12:00:00", "12:00:02", "12:07:04", "12:00:06", "12:00:08"]);
        assert_eq!(once.wrong.iter().map(|(cycle, _)| *cycle).collect::<Vec<_>>(), [2]);
        let still = run(local(), &["12:00:00"; 8]);
        assert!(still.wrong.len() > 4, "{still:?}");
        let ahead = run(local(), &["12:00:00", "12:00:12", "12:00:24", "12:00:36"]);
        assert!(!ahead.wrong.is_empty(), "{ahead:?}");
    }

    #[test]
    fn the_second_of_sending_is_as_right_as_that_of_the_due_instant() {
        let mut stamps = local();
        let stated: NaiveDateTime = "2026-11-22T12:00:01".parse().unwrap();
        // Due at .900, rendered and sent 400 ms later.
        assert_eq!(stamps.check((1, "a"), stated, wall(900), wall(1300), SLACK), Ok(()));
        assert!(
            stamps
                .check((1, "b"), "2026-11-22T12:00:05".parse().unwrap(), wall(900), wall(1300), SLACK)
                .is_err()
        );
    }

    #[test]
    fn a_stated_zone_must_be_kept() {
        let berlin = || Some(Zone::Fixed(3600));
        assert!(run(local().in_zone(berlin()), &["13:00:00", "13:00:02"]).wrong.is_empty());
        let wrong = run(local().in_zone(berlin()), &["12:00:00", "12:00:02"]).wrong;
        assert!(wrong[0].1.contains("it was about 2026-11-22 13:00:00"), "{wrong:?}");
    }

    #[test]
    fn another_machines_clock_may_have_any_offset_but_must_run() {
        assert!(run(Stamps::new(false, 1), &["01:01:00", "01:01:02", "01:01:04"]).wrong.is_empty());
        let fast = run(Stamps::new(true, 150), &["12:00:00", "12:05:00", "12:10:00"]);
        assert!(fast.wrong.is_empty(), "{fast:?}");
    }
}
