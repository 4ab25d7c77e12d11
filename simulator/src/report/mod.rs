//! What a run came to, for people and for machines.
//!
//! Everything here is a pure function of a [`Run`] and its [`Outcome`]: no clock, no terminal, no file.

pub mod compare;
mod coverage;
mod file;
mod json;
mod merge;
pub mod page;
mod repeat;
mod scenarios;
mod script;
mod story;
mod summary_text;
mod sweep;
mod text;
mod violations;
pub(crate) mod words;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arms::Arm;
use crate::oracle::score::Tally;
use crate::scenario::Scenario;
use crate::world::Outcome;

pub use coverage::{CoverageEntry, CoverageTable};
pub use file::Document;
pub use json::{GuaranteeEntry, Latency, Races, SCHEMA_VERSION, Shard, Summary, ViolationEntry};
pub(crate) use repeat::quoted;
pub use repeat::{DEFAULT_CLIENTS, DEFAULT_DURATION, DEFAULT_PERIOD, DEFAULT_SCENARIO};
pub use scenarios::{ScenarioEntry, ScenarioList};
pub use script::ScriptSummary;
pub use story::Story;
pub use summary_text::SummaryReport;
pub use sweep::{FailureEntry, SweepEntry, SweepReport, SweepSummary, describe_failure};
pub use text::{Palette, TextReport};
pub use violations::ViolationReport;

/// What was run, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where it ran.
    pub arm: Arm,
    /// What was simulated.
    pub scenario: &'a Scenario,
    /// What decided it.
    pub seed: u64,
    /// The wall time that it took. Nothing but speeds depends on it.
    pub wall: Duration,
}

impl Run<'_> {
    /// Virtual seconds per second of wall time.
    fn compression(&self, outcome: &Outcome) -> f64 {
        self.per_second(outcome.virtual_time.as_secs_f64())
    }

    /// `amount` per second of wall time.
    fn per_second(&self, amount: f64) -> f64 {
        amount / self.wall.as_secs_f64().max(1e-9)
    }
}

/// Whether a promise was kept, as far as the run can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was put to the test and held every time.
    Held,
    /// It was never put to the test, which says nothing about it.
    NotExercised,
    /// It was put to the test, and what was seen proves neither side; only real sockets and real time leave that open.
    Undecided,
    /// It was broken at least once.
    Violated,
}

impl Verdict {
    /// The verdict on one guarantee.
    pub const fn of(tally: Tally) -> Self {
        match tally {
            Tally { violations: 1.., .. } => Self::Violated,
            Tally { exercised: 0, .. } => Self::NotExercised,
            _ => Self::Held,
        }
    }

    /// The verdict on the whole run: violated if anything was, else held.
    pub fn of_run(outcome: &Outcome) -> Self {
        let is_broken = |tally: &Tally| tally.violations > 0;
        if outcome.score.tallies.iter().any(is_broken) { Self::Violated } else { Self::Held }
    }

    /// The words for it in the text report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotExercised => "not exercised",
            Self::Undecided => "undecided",
            Self::Violated => "VIOLATED",
        }
    }
}

#[cfg(test)]
mod tests;
