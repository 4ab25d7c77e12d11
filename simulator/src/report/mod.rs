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

use crate::scenario::{Arm, Scenario};
use crate::world::Outcome;

pub use coverage::{CoverageEntry, CoverageTable};
pub use file::Document;
pub use json::{GuaranteeEntry, Latency, Races, SCHEMA_VERSION, Shard, Summary, ViolationEntry};
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

#[cfg(test)]
mod tests;
