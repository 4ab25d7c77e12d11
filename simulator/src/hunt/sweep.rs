//! Runs many seeds on all cores and adds up their outcomes.

use std::any::Any;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::oracle::clause::Lapse;
use crate::oracle::coverage::Coverage;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Tally, Violation};
use crate::world::Outcome;

/// The outcome of one seed, or a sentence that says why it could not be run.
pub type SeedResult = Result<Outcome, String>;

/// Runs `seeds` on `jobs` threads. Passes the result of each seed to `on_result`, in the order in which the runs
/// end.
///
/// `run` is called on the threads. When `on_result` breaks, seeds that have begun still end; so the seeds that were
/// run are always a prefix of `seeds`.
pub fn sweep(
    seeds: Range<u64>,
    jobs: NonZeroUsize,
    run: impl Fn(u64) -> SeedResult + Sync,
    mut on_result: impl FnMut(u64, &SeedResult) -> ControlFlow<()>,
) {
    let pool = Pool { next: AtomicU64::new(seeds.start), end: seeds.end, is_over: AtomicBool::new(false) };
    let (sender, results) = channel();
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            let (pool, run, sender) = (&pool, &run, sender.clone());
            scope.spawn(move || pool.work(run, &sender));
        }
        drop(sender);
        for (seed, result) in results {
            if on_result(seed, &result).is_break() {
                pool.is_over.store(true, Ordering::Relaxed);
            }
        }
    });
}

/// The seeds that no thread has started.
struct Pool {
    next: AtomicU64,
    end: u64,
    is_over: AtomicBool,
}

impl Pool {
    fn work(&self, run: &impl Fn(u64) -> SeedResult, results: &Sender<(u64, SeedResult)>) {
        while let Some(seed) = self.next_seed() {
            // A panic in one seed is a finding like any other, and must not stop the other seeds.
            let result = catch_unwind(AssertUnwindSafe(|| run(seed)));
            let result = result.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_text(&*panic))));
            if results.send((seed, result)).is_err() {
                return;
            }
        }
    }

    fn next_seed(&self) -> Option<u64> {
        let step = |next: u64| (next < self.end).then(|| next + 1);
        let is_over = self.is_over.load(Ordering::Relaxed);
        (!is_over).then(|| self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok())?
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The most details of one lapse that are kept, the first in alphabetical order.
const DETAILS: usize = 40;

/// The sums over all seeds of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Seeds that were run.
    pub seeds: u64,
    /// How often each guarantee was exercised and broken, by [`Guarantee::index`].
    pub tallies: [Tally; 15],
    /// In how many seeds each guarantee broke, by [`Guarantee::index`].
    pub failing: [u64; 15],
    /// Due instants that fell into an open change, by [`Race::ALL`](crate::Race::ALL).
    pub races: [u64; 4],
    /// How often each guarantee was exercised on a connection that had met each hazard.
    pub coverage: Coverage,
    /// Departures from the letter of a standard that hurt no one, one entry for each clause, in their order.
    pub lapses: Vec<Lapse>,
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// Simulated events in all runs.
    pub events: u64,
    /// The failed seeds, in ascending order.
    pub failures: Vec<FailedSeed>,
}

/// A seed that crashed or broke a guarantee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSeed {
    /// The seed.
    pub seed: u64,
    /// Why it failed.
    pub cause: Cause,
}

/// Why a seed failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The run did not reach its end; the sentence says why.
    Crashed(String),
    /// Guarantees were broken.
    Violated {
        /// Each kind of violation, once.
        kinds: BTreeSet<(Guarantee, Fault)>,
        /// The first violation.
        first: Violation,
    },
}

impl Totals {
    /// Adds the result of one seed. Returns the failure, if the seed failed.
    pub fn add(&mut self, seed: u64, result: &SeedResult) -> Option<&FailedSeed> {
        self.seeds += 1;
        let cause = match result {
            Ok(outcome) => {
                self.count(outcome);
                violated(outcome)?
            }
            Err(sentence) => Cause::Crashed(sentence.clone()),
        };
        let place = self.failures.partition_point(|failed| failed.seed < seed);
        self.failures.insert(place, FailedSeed { seed, cause });
        Some(&self.failures[place])
    }

    /// Whether a guarantee broke in any seed.
    pub fn is_violated(&self) -> bool {
        self.failing.iter().any(|seeds| *seeds > 0)
    }

    fn count(&mut self, outcome: &Outcome) {
        let score = &outcome.score;
        for (index, tally) in score.tallies.iter().enumerate() {
            self.tallies[index].exercised += tally.exercised;
            self.tallies[index].violations += tally.violations;
            self.failing[index] += u64::from(tally.violations > 0);
        }
        for (sum, count) in self.races.iter_mut().zip(score.races) {
            *sum += count;
        }
        self.coverage.merge(&score.coverage);
        score.lapses.iter().for_each(|lapse| self.count_lapse(lapse));
        self.deliveries += score.deliveries;
        self.events += outcome.events;
    }

    /// Adds a lapse. The sum does not depend on the order in which the seeds end.
    fn count_lapse(&mut self, lapse: &Lapse) {
        let place = self.lapses.binary_search_by_key(&lapse.clause, |known| known.clause);
        let place = place.unwrap_or_else(|place| {
            self.lapses.insert(place, Lapse { clause: lapse.clause, count: 0, details: Vec::new() });
            place
        });
        let sum = &mut self.lapses[place];
        sum.count += lapse.count;
        for detail in &lapse.details {
            if let Err(place) = sum.details.binary_search(detail) {
                sum.details.insert(place, detail.clone());
            }
        }
        sum.details.truncate(DETAILS);
    }
}

fn violated(outcome: &Outcome) -> Option<Cause> {
    let violations = &outcome.score.violations;
    let first = violations.first()?.clone();
    let kinds = violations.iter().map(|violation| (violation.guarantee, violation.fault)).collect();
    Some(Cause::Violated { kinds, first })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::arms::{RunOptions, run_arm};
    use crate::oracle::clause::Clause;
    use crate::scenario::Arm;
    use crate::scenario::Scenario;

    fn jobs(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn day(seed: u64) -> SeedResult {
        let scenario = Scenario::day(5, Duration::from_secs(3600), Duration::from_secs(300));
        run_arm(Arm::Core, &scenario, seed, RunOptions::default(), |_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let totals = |count| {
            let mut totals = Totals::default();
            sweep(3..20, jobs(count), day, |seed, result| {
                assert_eq!(totals.add(seed, result), None);
                ControlFlow::Continue(())
            });
            totals
        };
        let (one, four) = (totals(1), totals(4));
        assert_eq!((one.seeds, one.deliveries > 0), (17, true));
        assert_eq!(format!("{one:?}"), format!("{four:?}"));
        assert!(!one.is_violated());
    }

    #[test]
    fn lapses_are_added_up_by_clause_in_any_order() {
        let lapse = |clause, count, details: &[&str]| Lapse {
            clause,
            count,
            details: details.iter().map(|detail| (*detail).to_owned()).collect(),
        };
        let runs = [
            lapse(Clause::MethodIsGet, 2, &["POST"]),
            lapse(Clause::CloseAfterOffence, 3, &["b", "a"]),
            lapse(Clause::CloseAfterOffence, 4, &["c", "a"]),
        ];
        let (mut totals, mut reversed) = (Totals::default(), Totals::default());
        runs.iter().for_each(|lapse| totals.count_lapse(lapse));
        runs.iter().rev().for_each(|lapse| reversed.count_lapse(lapse));
        let sums =
            [lapse(Clause::CloseAfterOffence, 7, &["a", "b", "c"]), lapse(Clause::MethodIsGet, 2, &["POST"])];
        assert_eq!((totals.lapses.as_slice(), reversed.lapses.as_slice()), (&sums[..], &sums[..]));
    }

    #[test]
    fn a_sweep_that_stops_early_has_run_the_first_seeds_without_a_gap() {
        let mut seen = BTreeSet::new();
        sweep(
            0..u64::MAX,
            jobs(3),
            |_| Err(String::new()),
            |seed, _| {
                seen.insert(seed);
                if seen.len() < 10 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        assert_eq!(seen.iter().copied().collect::<Vec<_>>(), (0..seen.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_seed_that_panics_is_reported_and_the_others_still_run() {
        let mut totals = Totals::default();
        let run = |seed| if seed == 2 { panic!("seed {seed} is bad") } else { day(seed) };
        sweep(0..4, jobs(2), run, |seed, result| {
            totals.add(seed, result);
            ControlFlow::Continue(())
        });
        let cause = Cause::Crashed("panicked: seed 2 is bad".to_owned());
        assert_eq!((totals.seeds, &totals.failures), (4, &vec![FailedSeed { seed: 2, cause }]));
    }
}
