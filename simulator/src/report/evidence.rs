//! The evidence for the verdicts, as text.

use std::fmt::{self, Display, Formatter};

use super::entries::GuaranteeEntry;
use super::format::{count_besides, count_verdicts};
use super::paragraph::paragraph;
use super::summary::Summary;
use crate::oracle::verdict::Verdict;

/// The most sentences of evidence for a guarantee that a text or a page shows. The JSON has all.
const SHOWN: usize = 8;

/// The evidence of a guarantee that the tester did not ask for.
const NOT_ASKED: &str = "not selected";

/// The evidence below the report of a load, and the command that repeats it. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceReport<'a> {
    /// The summary of the load.
    pub summary: &'a Summary,
}

impl Display for EvidenceReport<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for entry in &self.summary.guarantees {
            let head = format!("  {:<5}", entry.id);
            entry.shown_evidence().iter().try_for_each(|sentence| paragraph(f, &head, sentence))?;
        }
        writeln!(f, "  repeat with\n  {}", self.summary.repeat)
    }
}

impl GuaranteeEntry {
    /// Whether the tester asked for this guarantee.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.verdict != Verdict::NotExercised || self.evidence != [NOT_ASKED]
    }

    /// The first sentences of evidence, and how many more there are. A guarantee that was not exercised always has a
    /// reason.
    pub(crate) fn shown_evidence(&self) -> Vec<String> {
        if self.verdict == Verdict::NotExercised && self.evidence.is_empty() {
            return vec!["no situation arose".to_owned()];
        }
        let mut shown: Vec<String> = self.evidence.iter().take(SHOWN).cloned().collect();
        if self.evidence.len() > SHOWN {
            shown.push(format!("and {} more in the JSON", self.evidence.len() - SHOWN));
        }
        shown
    }
}

/// A sentence that counts the verdicts of `all` guarantees, and what is beside them. `violated` is the word for a broken
/// one.
pub(super) fn count_outcome(summary: &Summary, all: usize, violated: &str) -> String {
    let (asked, others): (Vec<_>, Vec<_>) = summary.guarantees.iter().partition(|entry| entry.is_asked_for());
    let verdicts: Vec<Verdict> = asked.iter().map(|entry| entry.verdict).collect();
    format!("{}{}", count_verdicts(&verdicts, all, violated), count_besides(others.len(), summary.lax.len()))
}

/// A line that names the guarantees that the tester did not ask for, if there are any.
pub(crate) fn not_asked_for(entries: &[GuaranteeEntry]) -> Option<String> {
    let names: Vec<&str> =
        entries.iter().filter(|entry| !entry.is_asked_for()).map(|entry| entry.id.as_str()).collect();
    (!names.is_empty()).then(|| format!("not asked for: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::guarantee::Guarantee;
    use crate::oracle::score::Tally;

    fn entry(guarantee: Guarantee, verdict: Verdict, evidence: &[&str]) -> GuaranteeEntry {
        let evidence = evidence.iter().map(|sentence| (*sentence).to_owned()).collect();
        GuaranteeEntry::new(guarantee, verdict, Tally::default(), evidence)
    }

    #[test]
    fn eight_sentences_are_shown_and_the_others_counted() {
        let all: Vec<String> = (1..=11).map(|number| format!("offence {number}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let shown = entry(Guarantee::G12, Verdict::Violated, &all).shown_evidence();
        assert_eq!(
            (shown.len(), shown[7].as_str(), shown[8].as_str()),
            (9, "offence 8", "and 3 more in the JSON")
        );
        assert_eq!(entry(Guarantee::G12, Verdict::Violated, &all[..8]).shown_evidence().len(), 8);
    }

    #[test]
    fn a_guarantee_that_was_not_exercised_has_a_reason() {
        let shown = |verdict, evidence: &[&str]| entry(Guarantee::G14, verdict, evidence).shown_evidence();
        assert_eq!(shown(Verdict::NotExercised, &[]), ["no situation arose"]);
        assert_eq!(shown(Verdict::NotExercised, &["no --spawn"]), ["no --spawn"]);
        assert_eq!(shown(Verdict::Held, &[]), [""; 0]);
    }

    #[test]
    fn guarantees_that_were_not_asked_for_stand_in_one_line() {
        let all = [
            entry(Guarantee::G1, Verdict::NotExercised, &["not selected"]),
            entry(Guarantee::G2, Verdict::Held, &[]),
            entry(Guarantee::G3, Verdict::NotExercised, &["not selected"]),
            entry(Guarantee::G4, Verdict::NotExercised, &[]),
        ];
        assert_eq!(not_asked_for(&all).unwrap(), "not asked for: G1, G3");
        assert_eq!(not_asked_for(&all[1..2]), None);
    }
}
