//! The grid of a server that says nothing about it: learned from its first push, and mended by every later one.
//!
//! A push may leave the server up to half a period after its due instant, and never before (G7). So the earliest push
//! modulo the period bounds the due instants from above, by less than half a period, and whatever arrives belongs to
//! the cycle next to it: rounding finds it, however late the first push was.

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::Timestamp;

use super::pulse::Arrival;

/// The cycles that were seen, numbered from the first.
#[derive(Debug)]
pub(crate) struct PushGrid {
    period: Duration,
    /// The best bound for the due instant of cycle 1.
    origin: Option<Timestamp>,
    /// Cycles of the server before it was restarted.
    base: u64,
    /// When the first push of all came.
    learned_at: Timestamp,
    /// A push for which the first one would have to be late by more than half a period.
    torn_at: Option<Timestamp>,
    cycles: BTreeMap<u64, Cycle>,
    stalls: Vec<(Timestamp, Timestamp)>,
}

/// When the pushes of one cycle came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cycle {
    pub(crate) first: Arrival,
    pub(crate) last: Timestamp,
    pub(crate) deliveries: u64,
}

/// What the arrivals say about the grid, once all are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Fewer than four cycles: nothing can be said.
    Short,
    /// No grid explains the pushes: some stand more than half a period behind others.
    Torn {
        /// When such a push came.
        at: Timestamp,
    },
    /// All stand on one grid.
    OnGrid {
        /// The latest first arrival, against the grid.
        latest: Duration,
        /// A drift below this in all would not have been seen.
        blur: Duration,
    },
    /// The cycles of the second half are all later, or all earlier, than those of the first.
    Moved {
        /// By at least so much.
        by: Duration,
        is_later: bool,
    },
}

impl PushGrid {
    pub(crate) fn new(period: Duration) -> Self {
        Self {
            period,
            origin: None,
            base: 0,
            learned_at: Timestamp::ZERO,
            torn_at: None,
            cycles: BTreeMap::new(),
            stalls: Vec::new(),
        }
    }

    /// No push has come: cycles are reckoned from here, and all of them will be missed.
    pub(crate) fn assume(&mut self, due: Timestamp) {
        self.origin = Some(due);
        self.learned_at = due;
    }

    /// The server is gone: whatever grid the next one has, it is another. Its cycles are numbered on.
    pub(crate) fn forget(&mut self) {
        self.base = self.cycles.keys().next_back().copied().unwrap_or(self.base);
        self.origin = None;
    }

    /// The best bound for the due instant of the first cycle of this server.
    pub(crate) fn origin(&self) -> Option<Timestamp> {
        self.origin
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    pub(crate) fn is_known(&self) -> bool {
        self.origin.is_some()
    }

    /// The cycle next to a push that arrives.
    pub(crate) fn nearest(&self, at: Timestamp) -> u64 {
        let origin = self.origin.unwrap_or(at);
        let half = self.period / 2;
        self.base + 1 + ((at + half).since(origin).as_nanos() / self.period.as_nanos()) as u64
    }

    /// Counts the push of a cycle that has arrived, and mends the grid by it.
    pub(crate) fn take(&mut self, cycle: u64, arrival: Arrival) {
        let origin = self.origin.unwrap_or_else(|| {
            self.learned_at = arrival.at;
            arrival.at
        });
        let offset = self.offset(cycle).min(arrival.at.as_nanos());
        let bound = Timestamp::from_nanos(arrival.at.as_nanos() - offset);
        let is_vague = arrival.width() > self.period / 4 && self.origin.is_some();
        if is_vague {
            // It bounds nothing.
        } else if bound + self.period / 2 < self.learned_at {
            self.torn_at.get_or_insert(arrival.at);
        } else if !self.is_stalled(arrival.at) || self.origin.is_none() {
            self.origin = Some(origin.min(bound));
        }
        let fresh = Cycle { first: arrival, last: arrival.at, deliveries: 0 };
        let seen = self.cycles.entry(cycle).or_insert(fresh);
        seen.last = arrival.at;
        seen.deliveries += 1;
    }

    /// The server stood still, and it is known that it did.
    pub(crate) fn stall(&mut self, from: Timestamp, until: Timestamp) {
        self.stalls.push((from, until));
    }

    /// When a cycle was due, at the latest.
    pub(crate) fn due(&self, cycle: u64) -> Timestamp {
        let origin = self.origin.unwrap_or(Timestamp::MAX);
        Timestamp::from_nanos(origin.as_nanos().saturating_add(self.offset(cycle)))
    }

    /// The newest cycle that was due by `at`; 0 if none was, or nothing is known.
    pub(crate) fn newest(&self, at: Timestamp) -> u64 {
        match self.origin {
            Some(origin) if at >= origin => 1 + (at.since(origin).as_nanos() / self.period.as_nanos()) as u64,
            _ => 0,
        }
    }

    pub(crate) fn cycles(&self) -> &BTreeMap<u64, Cycle> {
        &self.cycles
    }

    /// Whether a cycle may be missing, or late, because the server stood still.
    pub(crate) fn is_excused(&self, cycle: u64) -> bool {
        if cycle <= self.base {
            return true;
        }
        let due = self.due(cycle);
        self.stalls.iter().any(|(from, until)| due + self.period / 2 >= *from && due <= *until)
    }

    /// Until when the server is known to stand still, of the time from `since` on.
    pub(crate) fn stalled_until(&self, since: Timestamp) -> Option<Timestamp> {
        self.stalls.iter().map(|(_, until)| *until).filter(|until| *until >= since).max()
    }

    fn is_stalled(&self, at: Timestamp) -> bool {
        self.stalls.iter().any(|(from, until)| at >= *from && at <= *until + self.period / 2)
    }

    /// Whether the pushes stand on one grid; `blur` is what the harness cannot see.
    pub(crate) fn fit(&self, blur: Duration) -> Fit {
        if let Some(at) = self.torn_at {
            return Fit::Torn { at };
        }
        let current = self.cycles.range(self.base + 1..);
        let calm = current.filter(|(cycle, _)| !self.is_excused(**cycle));
        // The bound of a due instant is an arrival itself, so none of the differences is negative by more than nothing.
        let late: Vec<(Duration, Duration)> = calm
            .map(|(cycle, seen)| {
                let due = self.due(*cycle);
                (seen.first.earliest.since(due), seen.first.at.since(due))
            })
            .collect();
        if late.len() < 4 {
            return Fit::Short;
        }
        // A gap that the harness's own delays cannot account for: from the surely earliest to the surely latest.
        let gap = |lower: &[(Duration, Duration)], upper: &[(Duration, Duration)]| {
            let highest = lower.iter().map(|(_, at)| *at).max().unwrap_or_default();
            let lowest = upper.iter().map(|(earliest, _)| *earliest).min().unwrap_or_default();
            lowest.saturating_sub(highest)
        };
        // Halves for a drift; for a grid that was moved at once the two sides of a stall, which may be short ones: a few
        // pushes that are late by chance are not late by so much.
        let after_stall = self.stalls.last().map(|(_, until)| self.nearest(*until)).map(|cycle| {
            let calm = self.cycles.range(self.base + 1..cycle);
            calm.filter(|(cycle, _)| !self.is_excused(**cycle)).count()
        });
        let splits = [Some((late.len() / 2, blur)), after_stall.map(|at| (at, blur.max(self.period / 4)))];
        for (at, least) in splits.into_iter().flatten() {
            let (before, after) = late.split_at(at.min(late.len()));
            for (lower, upper, is_later) in [(before, after, true), (after, before, false)] {
                let by = gap(lower, upper);
                if lower.len() > 1 && upper.len() > 1 && by > least {
                    return Fit::Moved { by, is_later };
                }
            }
        }
        let latest = late.iter().map(|(_, at)| *at).max().unwrap_or_default();
        Fit::OnGrid { latest, blur }
    }

    /// Nanoseconds from cycle 1 to another.
    fn offset(&self, cycle: u64) -> u64 {
        (self.period.as_nanos() as u64).saturating_mul(cycle.saturating_sub(self.base + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(millis)
    }

    fn arrival(millis: u64) -> Arrival {
        Arrival { earliest: at(millis), at: at(millis) }
    }

    fn grid(arrivals: &[u64]) -> (PushGrid, Vec<u64>) {
        let mut grid = PushGrid::new(PERIOD);
        let mut cycles = Vec::new();
        for millis in arrivals {
            let cycle = grid.nearest(at(*millis));
            grid.take(cycle, arrival(*millis));
            cycles.push(cycle);
        }
        (grid, cycles)
    }

    #[test]
    fn a_late_first_push_is_found_out_by_the_next_ones() {
        // Due at 10, 12 and 14 s; late by 900, 0 and 300 ms, all less than half of two seconds.
        let (grid, cycles) = grid(&[10_900, 12_000, 14_300]);
        assert_eq!(cycles, [1, 2, 3]);
        assert_eq!(grid.due(1), at(10_000));
        assert_eq!((grid.newest(at(9_999)), grid.newest(at(14_000))), (0, 3));
    }

    #[test]
    fn lateness_that_comes_and_goes_is_no_drift_and_a_drift_is() {
        let blur = Duration::from_millis(20);
        let (calm, _) = grid(&[10_000, 12_300, 14_010, 16_250, 18_000, 20_100]);
        assert!(matches!(calm.fit(blur), Fit::OnGrid { latest, .. } if latest == Duration::from_millis(300)));
        let (drifting, _) = grid(&[10_000, 12_050, 14_100, 16_150, 18_200, 20_250]);
        assert_eq!(drifting.fit(blur), Fit::Moved { by: Duration::from_millis(50), is_later: true });
        let (short, _) = grid(&[10_000, 12_050, 14_100]);
        assert_eq!(short.fit(blur), Fit::Short);
    }

    #[test]
    fn timers_of_their_own_fit_no_grid() {
        // Three clients, 0, 1400 and 600 ms into each period: one of them is late by more than half of it.
        let (grid, _) = grid(&[10_000, 11_400, 12_600, 12_000, 13_400, 14_600]);
        assert!(matches!(grid.fit(Duration::ZERO), Fit::Torn { .. }));
    }

    #[test]
    fn a_grid_that_a_stall_has_moved_is_seen() {
        let mut grid = PushGrid::new(PERIOD);
        let take = |grid: &mut PushGrid, millis| grid.take(grid.nearest(at(millis)), arrival(millis));
        for millis in [10_000, 12_000, 14_000] {
            take(&mut grid, millis);
        }
        grid.stall(at(14_500), at(18_840));
        for millis in [20_840, 22_840, 24_840] {
            take(&mut grid, millis);
        }
        // The third cycle's push may have been under way when the server was stopped.
        let excused: Vec<u64> = (1..=8).filter(|cycle| grid.is_excused(*cycle)).collect();
        assert_eq!(excused, [3, 4, 5]);
        // 840 ms behind a stall that three of the eight cycles fell into.
        let moved = Fit::Moved { by: Duration::from_millis(840), is_later: true };
        assert_eq!(grid.fit(Duration::from_millis(10)), moved);
        // The same number of cycles on both sides, and pushes that are late as they please.
        let (calm, _) = self::grid(&[10_000, 12_400, 14_100, 16_450, 18_010, 20_440, 22_450]);
        assert!(matches!(calm.fit(Duration::from_millis(10)), Fit::OnGrid { .. }));
    }
}
