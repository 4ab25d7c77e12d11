//! Replays the seeds of `corpus.txt`. Add the line of a seed that fails there, once its cause is fixed.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::thread::available_parallelism;
use std::time::Duration;

use carillon_simulator::Scenario;
use carillon_simulator::hunt::sweep::{SeedResult, Totals, sweep};
use carillon_simulator::report::{Run, describe_failure};
use carillon_simulator::units::{parse_count, parse_seed, parse_span};
use carillon_simulator::{Arm, RunOptions, run_arm};

const CORPUS: &str = include_str!("corpus.txt");

#[test]
fn every_seed_of_the_corpus_holds() {
    let entries: Vec<_> = CORPUS.lines().filter_map(Entry::read).collect();
    assert!(entries.len() >= 10, "the corpus was not read");
    let jobs = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut failures = Vec::new();
    sweep(
        0..entries.len() as u64,
        jobs,
        |index| entries[index as usize].replay(),
        |index, result| {
            failures.extend(entries[index as usize].failure(result));
            ControlFlow::Continue(())
        },
    );
    assert!(failures.is_empty(), "\n{}", failures.concat());
}

/// One line of the corpus.
struct Entry {
    scenario: Scenario,
    arm: Arm,
    seed: u64,
}

impl Entry {
    /// `None` for a line that is empty but for its comment.
    fn read(line: &str) -> Option<Self> {
        let (entry, _) = line.split_once('#').unwrap_or((line, ""));
        let words: Vec<_> = entry.split_whitespace().collect();
        let [name, clients, duration, period, arm, seed] = words[..] else {
            assert_eq!(words.len(), 0, "scenario, clients, for, period, arm and seed, but: {line}");
            return None;
        };
        let span = |text| parse_span(text).unwrap_or_else(|error| panic!("{error}: {line}"));
        let (duration, period) = (span(duration), span(period));
        let clients = parse_count(clients).unwrap_or_else(|error| panic!("{error}: {line}"));
        let seed = parse_seed(seed).unwrap_or_else(|error| panic!("{error}: {line}"));
        let arm = Arm::ALL.into_iter().find(|known| known.name() == arm);
        let scenario = Scenario::named(name, clients, duration, period, seed);
        Some(Self {
            scenario: scenario.unwrap_or_else(|| panic!("no such scenario: {line}")),
            arm: arm.unwrap_or_else(|| panic!("no such arm: {line}")),
            seed,
        })
    }

    fn replay(&self) -> SeedResult {
        let result = run_arm(self.arm, &self.scenario, self.seed, RunOptions::default(), |_| ());
        result.map_err(|error| error.to_string())
    }

    /// The failure and the command that repeats it; `None` if the seed holds.
    fn failure(&self, result: &SeedResult) -> Option<String> {
        let run = Run { arm: self.arm, scenario: &self.scenario, seed: self.seed, wall: Duration::ZERO };
        Totals::default().add(self.seed, result).map(|failed| describe_failure(&run, failed))
    }
}
