//! Which promises broke, and how.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::palette::Palette;
use super::words::{counted, grouped, moment, who};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Violation};
use crate::oracle::verdict::Verdict;
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
        let all = score.violation_count();
        let kept = score.violations.len() as u64;
        let at_least = if kept < all { "at least " } else { "" };
        for ((guarantee, fault), (count, first)) in by_kind(&score.violations) {
            let title = format!("{guarantee} {}: {}", guarantee.name(), fault.name());
            let times = counted(count, "time");
            writeln!(f, "{}, {at_least}{times}", self.palette.paint(Verdict::Violated, &title))?;
            writeln!(f, "    {}, {}", moment(first.at), who(first.client))?;
            writeln!(f, "    {}", first.detail)?;
        }
        if kept < all {
            writeln!(f, "Of {} violations the first {kept} were kept.", grouped(all))?;
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
