//! What was run.

use std::time::Duration;

use super::numbers::per_second;
use crate::scenario::{Arm, Scenario};
use crate::world::Outcome;

/// A run: its input, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The arm that ran it.
    pub arm: Arm,
    /// The scenario that was simulated.
    pub scenario: &'a Scenario,
    /// The seed of the run.
    pub seed: u64,
    /// The wall time that the run took. Only figures of speed depend on it.
    pub wall: Duration,
}

impl Run<'_> {
    /// Virtual seconds per second of wall time.
    pub(super) fn compression(&self, outcome: &Outcome) -> f64 {
        self.per_second(outcome.virtual_time.as_secs_f64())
    }

    /// `amount` per second of wall time.
    pub(super) fn per_second(&self, amount: f64) -> f64 {
        per_second(amount, self.wall.as_secs_f64())
    }
}
