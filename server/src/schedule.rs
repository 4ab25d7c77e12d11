//! Which cycle is due: without drift, and without bursts after a stall.

use std::time::Duration;

use crate::time::{Timestamp, nanos};

/// A cycle may start up to `period / LATENESS_DIVISOR` late. A later one is skipped.
///
/// So two pushes start at least two thirds of a period apart. An observer applies the half-period rule (G4), and has a
/// sixth of a period left for the jitter of its network.
const LATENESS_DIVISOR: u32 = 3;

/// The cycles 1, 2, 3 … of one period each, counted from an origin.
///
/// Cycle k is due at `origin + k · period`, whatever happened before: lateness does not add up (G7).
#[derive(Clone, Debug)]
pub struct Schedule {
    origin: Timestamp,
    period: Duration,
    next: u64,
}

/// A cycle that has come due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The number of the cycle, from 1.
    pub number: u64,
    /// The instant at which the cycle was due.
    pub due: Timestamp,
}

/// The result of one [`Schedule::poll`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The cycle to deliver now, if there is one.
    pub cycle: Option<Cycle>,
    /// The number of cycles that came due since the last poll and are too old to be delivered.
    pub skipped: u64,
}

impl Schedule {
    /// A schedule whose first cycle is due one `period` after `origin`.
    ///
    /// # Panics
    ///
    /// If the period is zero.
    pub fn new(origin: Timestamp, period: Duration) -> Self {
        assert!(!period.is_zero(), "a period of zero has no cycles");
        Self { origin, period, next: 1 }
    }

    /// When the next cycle is due.
    pub fn next_due(&self) -> Timestamp {
        self.due(self.next)
    }

    /// The longest delay with which a cycle may start: a third of the period.
    pub fn lateness_limit(&self) -> Duration {
        lateness_limit(self.period)
    }

    /// Consumes every cycle that is due by `at`. Only the newest can be delivered; it is skipped if it is too late.
    pub fn poll(&mut self, at: Timestamp) -> Turn {
        if at < self.next_due() {
            return Turn::default();
        }
        let newest = nanos(at.since(self.origin)) / nanos(self.period);
        let due = self.due(newest);
        let older = newest - self.next;
        self.next = newest + 1;
        if at.since(due) <= self.lateness_limit() {
            Turn { cycle: Some(Cycle { number: newest, due }), skipped: older }
        } else {
            Turn { cycle: None, skipped: older + 1 }
        }
    }

    fn due(&self, cycle: u64) -> Timestamp {
        self.origin + Duration::from_nanos(nanos(self.period).saturating_mul(cycle))
    }
}

/// The longest delay with which a push of this `period` may start: a third of the period.
pub fn lateness_limit(period: Duration) -> Duration {
    period / LATENESS_DIVISOR
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(300);

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_cycle_is_due_one_period_after_the_origin_and_not_before() {
        let mut schedule = Schedule::new(seconds(10), PERIOD);
        assert_eq!(schedule.poll(Timestamp::from_nanos(seconds(310).as_nanos() - 1)), Turn::default());
        let turn = schedule.poll(seconds(310));
        assert_eq!(turn, Turn { cycle: Some(Cycle { number: 1, due: seconds(310) }), skipped: 0 });
        assert_eq!(schedule.next_due(), seconds(610));
    }

    #[test]
    fn lateness_does_not_add_up() {
        let mut schedule = Schedule::new(Timestamp::ZERO, PERIOD);
        for cycle in 1..=1000 {
            let late = schedule.next_due() + Duration::from_millis(7);
            assert_eq!(schedule.poll(late).cycle, Some(Cycle { number: cycle, due: seconds(300 * cycle) }));
        }
    }

    #[test]
    fn after_a_stall_the_missed_cycles_are_skipped_and_counted() {
        // Cycles 1, 2 and 3 came due at 300, 600 and 900 s; the third is 50 s late, and 300 s / 3 = 100 s is the limit.
        let mut schedule = Schedule::new(Timestamp::ZERO, PERIOD);
        let turn = schedule.poll(seconds(950));
        assert_eq!(turn, Turn { cycle: Some(Cycle { number: 3, due: seconds(900) }), skipped: 2 });
    }

    #[test]
    fn a_cycle_is_skipped_when_it_is_later_than_a_third_of_a_period() {
        let edge = seconds(400);
        assert!(Schedule::new(Timestamp::ZERO, PERIOD).poll(edge).cycle.is_some());
        let past = Timestamp::from_nanos(edge.as_nanos() + 1);
        assert_eq!(Schedule::new(Timestamp::ZERO, PERIOD).poll(past), Turn { cycle: None, skipped: 1 });
    }

    proptest! {
        #[test]
        fn every_cycle_is_delivered_or_skipped_once_and_starts_are_two_thirds_of_a_period_apart(
            steps in prop::collection::vec(1u64..2_000, 1..200)
        ) {
            let period = Duration::from_nanos(300);
            let mut schedule = Schedule::new(Timestamp::ZERO, period);
            let (mut at, mut seen, mut last_start) = (0, 0, None::<u64>);
            for step in steps {
                at += step;
                let turn = schedule.poll(Timestamp::from_nanos(at));
                seen += turn.skipped;
                if let Some(cycle) = turn.cycle {
                    seen += 1;
                    prop_assert_eq!(cycle.number, seen);
                    prop_assert_eq!(cycle.due, Timestamp::from_nanos(300 * cycle.number));
                    prop_assert!(last_start.is_none_or(|last| at - last >= 200), "{} after {:?}", at, last_start);
                    last_start = Some(at);
                }
                prop_assert_eq!(seen, at / 300);
            }
        }
    }
}
