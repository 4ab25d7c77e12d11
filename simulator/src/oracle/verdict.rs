//! The oracle's verdict on a guarantee and on a run.

use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::oracle::score::{Score, Tally};

/// Whether the server kept a promise, as far as the run can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The promise was exercised and held every time.
    Held,
    /// The promise was never exercised, so the run says nothing about it.
    NotExercised,
    /// The promise was exercised, but the observations prove neither result. This happens only with real sockets and
    /// real time.
    Undecided,
    /// The promise was broken at least once.
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

    /// The verdict on the whole run: [`Violated`](Self::Violated) if any guarantee was violated, else
    /// [`Held`](Self::Held).
    pub fn of_run(score: &Score) -> Self {
        let is_broken = |tally: &Tally| tally.violations > 0;
        if score.tallies.iter().any(is_broken) { Self::Violated } else { Self::Held }
    }

    /// The verdict's name in the text report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotExercised => "not exercised",
            Self::Undecided => "undecided",
            Self::Violated => "VIOLATED",
        }
    }
}

/// The exit code of a run with this verdict, if no other result is worse.
impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Violated => Self::Violated,
            Verdict::NotExercised => Self::NothingRan,
            Verdict::Held | Verdict::Undecided => Self::Held,
        }
    }
}
