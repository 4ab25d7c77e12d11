//! The push grid of a server that does not state it: learned from its first push, and refined by every later one.
//!
//! A push may leave the server up to half a period after its due instant, and never before (G7). So the earliest
//! push modulo the period is an upper bound for the due instants, at most half a period late. Every arrival belongs
//! to the nearest cycle: rounding finds it, however late the first push was.
//!
//! A push that is late by more than half a period looks like an early one of the next cycle. So one cycle alone does
//! not correct the grid: two must agree. The pushes right after a stall correct nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::Timestamp;

use super::fit::{Fit, Late, drift, gap};
use super::pulse::Arrival;

/// The observed cycles, numbered from the first.
#[derive(Debug)]
pub(crate) struct PushGrid {
    period: Duration,
    /// The best upper bound for the due instant of cycle 1.
    origin: Option<Timestamp>,
    /// The number of the last cycle before the server was restarted.
    base: u64,
    /// When the very first push arrived.
    learned_at: Timestamp,
    /// A push that no grid explains: the first push would have to be late by more than half a period.
    contradicted_at: Option<Timestamp>,
    /// A cycle whose push came earlier than the grid says, and the bound that it gives.
    proposal: Option<(u64, Timestamp)>,
    cycles: BTreeMap<u64, Cycle>,
    stalls: Vec<Stall>,
}

/// A time in which the server stood still.
#[derive(Clone, Copy, Debug)]
struct Stall {
    from: Timestamp,
    until: Timestamp,
    /// Whether it was only seen: the server answered nothing on any connection.
    is_observed: bool,
}

/// The arrivals of the pushes of one cycle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cycle {
    pub(crate) first: Arrival,
    pub(crate) last: Timestamp,
    pub(crate) deliveries: u64,
}

impl PushGrid {
    pub(crate) fn new(period: Duration) -> Self {
        Self {
            period,
            origin: None,
            base: 0,
            learned_at: Timestamp::ZERO,
            contradicted_at: None,
            proposal: None,
            cycles: BTreeMap::new(),
            stalls: Vec::new(),
        }
    }

    /// No push has arrived: counts cycles from `due` on, and all of them are missing.
    pub(crate) fn assume(&mut self, due: Timestamp) {
        self.origin = Some(due);
        self.learned_at = due;
    }

    /// The server was restarted and has a new, unknown grid. Cycle numbers continue.
    pub(crate) fn forget(&mut self) {
        self.base = self.cycles.keys().next_back().copied().unwrap_or(self.base);
        self.origin = None;
        self.proposal = None;
    }

    /// The best upper bound for the due instant of this server's first cycle.
    pub(crate) fn origin(&self) -> Option<Timestamp> {
        self.origin
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    pub(crate) fn is_known(&self) -> bool {
        self.origin.is_some()
    }

    /// The cycle nearest to a push that arrives at `at`.
    pub(crate) fn nearest(&self, at: Timestamp) -> u64 {
        let origin = self.origin.unwrap_or(at);
        let half = self.period / 2;
        self.base + 1 + ((at + half).since(origin).as_nanos() / self.period.as_nanos()) as u64
    }

    /// Counts a push of `cycle`, and refines the grid by its arrival.
    pub(crate) fn record_push(&mut self, cycle: u64, arrival: Arrival) {
        let origin = self.origin.unwrap_or_else(|| {
            self.learned_at = arrival.at;
            arrival.at
        });
        let offset = self.offset(cycle).min(arrival.at.as_nanos());
        let bound = Timestamp::from_nanos(arrival.at.as_nanos() - offset);
        let is_imprecise = arrival.width() > self.period / 4;
        if self.origin.is_none() {
            self.origin = Some(origin);
        } else if bound < origin && !is_imprecise && !self.is_stalled(arrival.at) {
            self.propose(cycle, bound, arrival.at);
        }
        let fresh = Cycle { first: arrival, last: arrival.at, deliveries: 0 };
        let seen = self.cycles.entry(cycle).or_insert(fresh);
        seen.last = arrival.at;
        seen.deliveries += 1;
    }

    /// Takes an earlier bound once two cycles agree on it.
    fn propose(&mut self, cycle: u64, bound: Timestamp, at: Timestamp) {
        let Some((other, known)) = self.proposal else {
            self.proposal = Some((cycle, bound));
            return;
        };
        self.proposal = Some(if bound < known { (cycle, bound) } else { (other, known) });
        if other == cycle {
            return;
        }
        let agreed = known.max(bound);
        if agreed + self.period / 2 < self.learned_at {
            self.contradicted_at.get_or_insert(at);
        } else {
            self.origin = self.origin.map(|origin| origin.min(agreed));
        }
    }

    /// Notes that the server is known to have been stopped in this time.
    pub(crate) fn stall(&mut self, from: Timestamp, until: Timestamp) {
        self.stalls.push(Stall { from, until, is_observed: false });
    }

    /// Notes that the server answered nothing on any connection in this time, although it was asked.
    pub(crate) fn observe_stall(&mut self, from: Timestamp, until: Timestamp) {
        match self.stalls.last_mut() {
            Some(last) if last.until >= from => last.until = last.until.max(until),
            _ => self.stalls.push(Stall { from, until, is_observed: true }),
        }
    }

    /// The stalls that were only seen: from when until when.
    pub(crate) fn observed_stalls(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        self.stalls.iter().filter(|stall| stall.is_observed).map(|stall| (stall.from, stall.until))
    }

    /// Whether the server stood still at some time between these instants.
    pub(crate) fn has_stalled_between(&self, from: Timestamp, until: Timestamp) -> bool {
        self.stalls.iter().any(|stall| stall.until >= from && stall.from <= until)
    }

    /// The stall right before `at`, by its number, and the first cycle that is due after it: its push has not come
    /// yet, or comes now. The push before may be late because of the stall.
    pub(crate) fn stall_before(&self, at: Timestamp) -> Option<(usize, u64)> {
        // Before the first push there is no grid.
        self.origin?;
        let with_next = |stall: &Stall| self.newest(stall.until) + 1;
        let place = self
            .stalls
            .iter()
            .rposition(|stall| at >= stall.from && at < self.due(with_next(stall)) + self.period / 2)?;
        Some((place, with_next(&self.stalls[place])))
    }

    /// The latest possible due instant of a cycle.
    pub(crate) fn due(&self, cycle: u64) -> Timestamp {
        let origin = self.origin.unwrap_or(Timestamp::MAX);
        Timestamp::from_nanos(origin.as_nanos().saturating_add(self.offset(cycle)))
    }

    /// The newest cycle that was due by `at`; 0 if there is none, or the grid is unknown.
    pub(crate) fn newest(&self, at: Timestamp) -> u64 {
        match self.origin {
            Some(origin) if at >= origin => 1 + (at.since(origin).as_nanos() / self.period.as_nanos()) as u64,
            _ => 0,
        }
    }

    pub(crate) fn cycles(&self) -> &BTreeMap<u64, Cycle> {
        &self.cycles
    }

    /// Whether a push of this cycle may be missing or late because the server was stopped.
    pub(crate) fn is_excused(&self, cycle: u64) -> bool {
        if cycle <= self.base {
            return true;
        }
        let due = self.due(cycle);
        self.stalls.iter().any(|stall| {
            // A walk may have been under way when the server stopped. If nobody stopped it, a walk of a third of a
            // period is what the protocol allows.
            let walk = if stall.is_observed { self.period / 3 } else { self.period / 2 };
            due + walk >= stall.from && due <= stall.until
        })
    }

    /// The end of the latest known stall that ends at `since` or later.
    pub(crate) fn stalled_until(&self, since: Timestamp) -> Option<Timestamp> {
        self.stalls.iter().map(|stall| stall.until).filter(|until| *until >= since).max()
    }

    fn is_stalled(&self, at: Timestamp) -> bool {
        self.stalls.iter().any(|stall| at >= stall.from && at <= stall.until + self.period / 2)
    }

    /// Whether one grid explains the pushes. `uncertainty` is what the harness cannot observe.
    pub(crate) fn fit(&self, uncertainty: Duration) -> Fit {
        if let Some(at) = self.contradicted_at {
            return Fit::NoGrid { at };
        }
        let current = self.cycles.range(self.base + 1..);
        let calm = current.filter(|(cycle, _)| !self.is_excused(**cycle));
        // A bound of a due instant is itself an arrival, so no difference is negative.
        let late: Vec<Late> = calm
            .map(|(cycle, seen)| {
                let due = self.due(*cycle);
                (seen.first.earliest.since(due), seen.first.at.since(due))
            })
            .collect();
        if late.len() < 4 {
            return Fit::Short;
        }
        self.move_of(&late, uncertainty).unwrap_or_else(|| {
            let latest = late.iter().map(|(_, at)| *at).max().unwrap_or_default();
            Fit::OnGrid { latest, uncertainty }
        })
    }

    /// A drift between the two halves of a stretch without a stop, or a sudden move between the two sides of a stall.
    /// Those sides may have few pushes, so the difference must be larger than random lateness.
    fn move_of(&self, late: &[Late], uncertainty: Duration) -> Option<Fit> {
        for stall in &self.stalls {
            if let Some((by, is_later)) = gap(late, self.calm_before(stall))
                && by > uncertainty.max(self.period / 4)
            {
                return Some(Fit::Moved { by, is_later });
            }
        }
        let mut faint = None;
        for stretch in self.stretches(late) {
            match drift(stretch, uncertainty) {
                Some(fit @ Fit::Faint { .. }) => faint = faint.or(Some(fit)),
                Some(fit) => return Some(fit),
                None => {}
            }
        }
        faint
    }

    /// The number of cycles before a stall that no stall excuses.
    fn calm_before(&self, stall: &Stall) -> usize {
        let before = self.cycles.range(self.base + 1..self.nearest(stall.until));
        before.filter(|(cycle, _)| !self.is_excused(**cycle)).count()
    }

    /// The stretches between the stops of the server that are known: after a stop it may have another grid.
    fn stretches<'a>(&self, late: &'a [Late]) -> Vec<&'a [Late]> {
        let known = self.stalls.iter().filter(|stall| !stall.is_observed);
        let mut places: Vec<usize> = known.map(|stall| self.calm_before(stall).min(late.len())).collect();
        places.push(late.len());
        let mut stretches = Vec::new();
        let mut rest = late;
        for place in places {
            let passed = late.len() - rest.len();
            let (stretch, later) = rest.split_at(place.saturating_sub(passed));
            stretches.push(stretch);
            rest = later;
        }
        stretches
    }

    /// Nanoseconds from the first cycle of this server to another cycle.
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
            grid.record_push(cycle, arrival(*millis));
            cycles.push(cycle);
        }
        (grid, cycles)
    }

    #[test]
    fn later_pushes_correct_a_late_first_push() {
        // Due at 10, 12, 14 and 16 s; late by 900, 0, 300 and 10 ms, all less than half of two seconds.
        let (grid, cycles) = grid(&[10_900, 12_000, 14_300, 16_010]);
        assert_eq!(cycles, [1, 2, 3, 4]);
        assert_eq!(grid.due(1), at(10_010), "two cycles agree");
        assert_eq!((grid.newest(at(9_999)), grid.newest(at(14_010))), (0, 3));
    }

    #[test]
    fn one_late_push_does_not_tear_the_grid() {
        // Due at 10, 12, 14 and 16 s; the third is 1.7 s late, which looks like 0.3 s early.
        let (mut grid, cycles) = grid(&[10_000, 12_000, 15_700]);
        assert_eq!((cycles[2], grid.due(1)), (4, at(10_000)));
        grid.record_push(4, arrival(16_000));
        assert_eq!(grid.due(5), at(18_000));
    }

    #[test]
    fn silence_on_all_connections_is_a_stall() {
        let (mut grid, _) = grid(&[10_000, 12_000]);
        grid.observe_stall(at(13_900), at(15_700));
        grid.observe_stall(at(15_650), at(15_800));
        assert_eq!(grid.observed_stalls().collect::<Vec<_>>(), [(at(13_900), at(15_800))]);
        assert!(grid.is_excused(3) && !grid.is_excused(2) && !grid.is_excused(4));
        assert!(PushGrid::new(PERIOD).stall_before(at(1)).is_none());
        let mut fresh = PushGrid::new(PERIOD);
        fresh.observe_stall(at(100), at(300));
        assert_eq!(
            (fresh.stall_before(at(200)), fresh.nearest(at(200))),
            (None, 1),
            "the first push is that of cycle 1"
        );
        assert!(grid.stall_before(at(15_700)).is_some() && grid.stall_before(at(17_100)).is_none());
    }

    #[test]
    fn a_drift_that_is_too_small_for_the_run_says_how_many_cycles_would_show_it() {
        let (drifting, _) = grid(&[10_000, 12_001, 14_002, 16_003, 18_004, 20_005]);
        let Fit::Faint { by, is_later, cycles_needed } = drifting.fit(Duration::from_millis(3)) else {
            panic!("{:?}", drifting.fit(Duration::from_millis(3)))
        };
        assert_eq!((by, is_later), (Duration::from_millis(3), true));
        assert!((12..60).contains(&cycles_needed), "{cycles_needed}");
    }

    #[test]
    fn random_lateness_is_not_reported_as_a_drift_but_a_drift_is() {
        let uncertainty = Duration::from_millis(20);
        let (calm, _) = grid(&[10_000, 12_300, 14_010, 16_250, 18_000, 20_100]);
        assert!(
            matches!(calm.fit(uncertainty), Fit::OnGrid { latest, .. } if latest == Duration::from_millis(300))
        );
        let (drifting, _) = grid(&[10_000, 12_050, 14_100, 16_150, 18_200, 20_250]);
        assert_eq!(drifting.fit(uncertainty), Fit::Moved { by: Duration::from_millis(150), is_later: true });
        // Two halves apart, but in no order within them.
        let (apart, _) = grid(&[10_030, 12_010, 14_020, 16_240, 18_220, 20_230]);
        assert!(matches!(apart.fit(uncertainty), Fit::OnGrid { .. }));
        let (short, _) = grid(&[10_000, 12_050, 14_100]);
        assert_eq!(short.fit(uncertainty), Fit::Short);
    }

    #[test]
    fn a_timer_per_client_fits_no_grid() {
        // Three clients, 0, 1400 and 600 ms into each period: one of them is late by more than half of it.
        let (grid, _) = grid(&[
            10_000, 11_400, 12_600, 12_000, 13_400, 14_600, 14_000, 15_400, 16_600, 16_000, 17_400, 18_600,
        ]);
        assert!(matches!(grid.fit(Duration::ZERO), Fit::NoGrid { .. }));
    }

    #[test]
    fn a_grid_that_moved_in_a_stall_is_detected() {
        let mut grid = PushGrid::new(PERIOD);
        let record_push =
            |grid: &mut PushGrid, millis| grid.record_push(grid.nearest(at(millis)), arrival(millis));
        for millis in [10_000, 12_000, 14_000] {
            record_push(&mut grid, millis);
        }
        grid.stall(at(14_500), at(18_840));
        for millis in [20_840, 22_840, 24_840] {
            record_push(&mut grid, millis);
        }
        // The push of the third cycle may have been in flight when the server was stopped.
        let excused: Vec<u64> = (1..=8).filter(|cycle| grid.is_excused(*cycle)).collect();
        assert_eq!(excused, [3, 4, 5]);
        // The stall covers three of the eight cycles; the pushes after it are 840 ms late.
        let moved = Fit::Moved { by: Duration::from_millis(840), is_later: true };
        assert_eq!(grid.fit(Duration::from_millis(10)), moved);
        // The same number of cycles on both sides, with random lateness.
        let (calm, _) = self::grid(&[10_000, 12_400, 14_100, 16_450, 18_010, 20_440, 22_450]);
        assert!(matches!(calm.fit(Duration::from_millis(10)), Fit::OnGrid { .. }));
    }
}
