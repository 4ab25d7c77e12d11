//! Many seeds on all cores, and what they came to together.

use std::any::Any;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::oracle::coverage::Coverage;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Tally, Violation};
use crate::world::Outcome;

/// What one seed came to; a sentence if it could not be run.
pub type SeedResult = Result<Outcome, String>;

/// Runs `seeds` on `jobs` threads, and tells `each` what every one of them came to, in the order in which they end.
///
/// `run` is called on the threads. When `each` breaks off, the seeds that have begun still end; what was run is always
/// the first part of `seeds`.
pub fn sweep(
    seeds: Range<u64>,
    jobs: NonZeroUsize,
    run: impl Fn(u64) -> SeedResult + Sync,
    mut each: impl FnMut(u64, &SeedResult) -> ControlFlow<()>,
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
            if each(seed, &result).is_break() {
                pool.is_over.store(true, Ordering::Relaxed);
            }
        }
    });
}

/// The seeds that no thread has begun.
struct Pool {
    next: AtomicU64,
    end: u64,
    is_over: AtomicBool,
}

impl Pool {
    fn work(&self, run: &impl Fn(u64) -> SeedResult, results: &Sender<(u64, SeedResult)>) {
        while let Some(seed) = self.take() {
            // One seed that panics is a finding like any other, and must not cost the others.
            let result = catch_unwind(AssertUnwindSafe(|| run(seed)));
            let result = result.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_text(&*panic))));
            if results.send((seed, result)).is_err() {
                return;
            }
        }
    }

    fn take(&self) -> Option<u64> {
        let step = |next: u64| (next < self.end).then(|| next + 1);
        let is_over = self.is_over.load(Ordering::Relaxed);
        (!is_over).then(|| self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok())?
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

/// What the seeds of a sweep came to together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many were run.
    pub seeds: u64,
    /// By [`Guarantee::index`].
    pub tallies: [Tally; 15],
    /// In how many seeds each guarantee broke.
    pub failing: [u64; 15],
    /// By [`Race::ALL`](crate::Race::ALL).
    pub races: [u64; 4],
    /// Which hazards met which guarantees.
    pub coverage: Coverage,
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// Simulated events.
    pub events: u64,
    /// The seeds that did not hold, in rising order.
    pub failures: Vec<FailedSeed>,
}

/// A seed that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSeed {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub cause: Cause,
}

/// Why a seed did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It could not be run to its end.
    Crashed(String),
    /// Promises were broken.
    Violated {
        /// Each way, once.
        kinds: BTreeSet<(Guarantee, Fault)>,
        /// The first.
        first: Violation,
    },
}

impl Totals {
    /// Counts one seed; returns it if it did not hold.
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

    /// Whether a promise was broken.
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
        self.deliveries += score.deliveries;
        self.events += outcome.events;
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
    fn whoever_breaks_off_gets_the_first_seeds_without_a_gap() {
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
    fn a_seed_that_panics_is_named_and_costs_no_other() {
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
