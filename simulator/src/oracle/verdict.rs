//! What the oracle says of a guarantee, and of a run.

use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::oracle::score::{Score, Tally};

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
    pub fn of_run(score: &Score) -> Self {
        let is_broken = |tally: &Tally| tally.violations > 0;
        if score.tallies.iter().any(is_broken) { Self::Violated } else { Self::Held }
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

/// How a run with this verdict ends, if nothing else is said against it.
impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Violated => Self::Violated,
            Verdict::NotExercised => Self::NothingRan,
            Verdict::Held | Verdict::Undecided => Self::Held,
        }
    }
}
