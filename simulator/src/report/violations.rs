//! The part of the report that nobody wants to read: which promises broke, and how.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::words::{counted, grouped, moment};
use super::{Palette, Verdict};
use crate::checker::{Fault, Violation};
use crate::guarantee::Guarantee;
use crate::world::Outcome;

/// Each way in which a promise broke, once. Print it.
#[derive(Clone, Copy, Debug)]
pub struct ViolationReport<'a> {
    /// What the run came to.
    pub outcome: &'a Outcome,
    /// Whether it is coloured.
    pub palette: Palette,
}

impl Display for ViolationReport<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let score = &self.outcome.score;
        for ((guarantee, fault), (count, first)) in by_kind(&score.violations) {
            let title = format!("{guarantee} {}: {}", guarantee.name(), fault.name());
            let times = counted(count, "time");
            writeln!(f, "{}, {times}", self.palette.paint(Verdict::Violated, &title))?;
            writeln!(f, "    {}, client {}", moment(first.at), first.client)?;
            writeln!(f, "    {}", first.detail)?;
        }
        let all = score.tallies.iter().map(|tally| tally.violations).sum::<u64>();
        let kept = score.violations.len() as u64;
        if kept < all {
            writeln!(f, "These are the first {kept} violations of {}.", grouped(all))?;
        }
        Ok(())
    }
}

/// How often each promise broke in each way, and the first time that it did.
fn by_kind(violations: &[Violation]) -> BTreeMap<(Guarantee, Fault), (u64, &Violation)> {
    let mut kinds = BTreeMap::new();
    for violation in violations {
        let kind = (violation.guarantee, violation.fault);
        kinds.entry(kind).or_insert((0, violation)).0 += 1;
    }
    kinds
}
