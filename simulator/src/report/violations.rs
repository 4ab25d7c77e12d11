//! Which guarantees broke, and how, as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::format::{counted, grouped, moment, subject};
use super::palette::Palette;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Violation};
use crate::oracle::verdict::Verdict;
use crate::world::Outcome;

/// Each kind of violation, once, with its first case. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct ViolationReport<'a> {
    /// The outcome of the run.
    pub outcome: &'a Outcome,
    /// Whether the text is coloured.
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
            writeln!(f, "    {}, {}", moment(first.at), subject(first.client))?;
            writeln!(f, "    {}", first.detail)?;
        }
        if kept < all {
            writeln!(f, "Of {} violations the first {kept} were kept.", grouped(all))?;
        }
        Ok(())
    }
}

/// How often each guarantee broke in each way, and its first violation.
fn by_kind(violations: &[Violation]) -> BTreeMap<(Guarantee, Fault), (u64, &Violation)> {
    let mut kinds = BTreeMap::new();
    for violation in violations {
        let kind = (violation.guarantee, violation.fault);
        kinds.entry(kind).or_insert((0, violation)).0 += 1;
    }
    kinds
}
