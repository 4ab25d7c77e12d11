//! Departures from the letter of a standard that hurt no one: their list as text, and the sum of two lists.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::entries::LaxEntry;
use super::format::counted;
use super::paragraph::{BELOW, paragraph};

/// The most details of an entry that a text or a page shows. The JSON has all.
const SHOWN: usize = 6;

/// The list as text; nothing if it is empty. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaxList<'a> {
    /// The entries.
    pub(crate) entries: &'a [LaxEntry],
    /// Whether the command has an option that makes these departures count.
    pub(crate) has_strict: bool,
}

impl Display for LaxList<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.entries.is_empty() {
            return Ok(());
        }
        let strict = if self.has_strict { "; --strict counts them" } else { "" };
        writeln!(f, "lax, by the letter of a standard (they do not count{strict}):")?;
        let widest = self.entries.iter().map(|entry| entry.section.chars().count()).max().unwrap_or(0);
        for entry in self.entries {
            paragraph(f, &format!("  {:<widest$}  ", entry.section), &entry.sentence())?;
            entry.shown_details().iter().try_for_each(|detail| paragraph(f, BELOW, detail))?;
        }
        Ok(())
    }
}

impl LaxEntry {
    /// The rule, and how often the server departed from it.
    pub(crate) fn sentence(&self) -> String {
        format!("{}: {}", self.rule, counted(self.count, "time"))
    }

    /// The first details, and how many more there are.
    pub(crate) fn shown_details(&self) -> Vec<String> {
        let mut shown: Vec<String> = self.details.iter().take(SHOWN).cloned().collect();
        if self.details.len() > SHOWN {
            shown.push(format!("and {} more", self.details.len() - SHOWN));
        }
        shown
    }
}

/// The sum of two lists: for one rule the counts are added up, and each detail stands there once. The order of the
/// lists does not matter.
pub(super) fn united(one: &[LaxEntry], other: &[LaxEntry]) -> Vec<LaxEntry> {
    let mut sums: BTreeMap<(String, String), LaxEntry> = BTreeMap::new();
    for entry in one.iter().chain(other) {
        let key = (entry.section.to_string(), entry.rule.to_string());
        let sum =
            sums.entry(key).or_insert_with(|| LaxEntry { count: 0, details: Vec::new(), ..entry.clone() });
        sum.count += entry.count;
        sum.details.extend_from_slice(&entry.details);
    }
    let mut all: Vec<LaxEntry> = sums.into_values().collect();
    for entry in &mut all {
        entry.details.sort_unstable();
        entry.details.dedup();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::clause::{Clause, Lapse};

    fn entry(clause: Clause, count: u64, details: &[&str]) -> LaxEntry {
        let details = details.iter().map(|detail| (*detail).to_owned()).collect();
        LaxEntry::new(&Lapse { clause, count, details })
    }

    #[test]
    fn the_list_names_section_rule_and_count_and_six_details() {
        let details: Vec<String> = (1..=8).map(|number| format!("case {number}")).collect();
        let details: Vec<&str> = details.iter().map(String::as_str).collect();
        let entries = [
            entry(Clause::CloseAfterOffence, 12, &details),
            entry(Clause::MethodIsGet, 1, &["POST got 101"]),
        ];
        let expected = "\
lax, by the letter of a standard (they do not count; --strict counts them):
  RFC 6455 §7.1.7  a client that breaks a rule gets a Close before the connection ends: 12 times
         case 1
         case 2
         case 3
         case 4
         case 5
         case 6
         and 2 more
  RFC 6455 §4.1    a request that is not a GET is refused: 1 time
         POST got 101
";
        assert_eq!(LaxList { entries: &entries, has_strict: true }.to_string(), expected);
        let text = LaxList { entries: &entries[1..], has_strict: false }.to_string();
        assert!(text.starts_with("lax, by the letter of a standard (they do not count):\n"), "{text}");
        assert_eq!(LaxList { entries: &[], has_strict: true }.to_string(), "");
    }

    #[test]
    fn lists_are_added_up_by_rule_and_the_order_does_not_matter() {
        let one = [entry(Clause::CodeAfterOffence, 3, &["b", "a"]), entry(Clause::MethodIsGet, 1, &["POST"])];
        let other = [entry(Clause::CodeAtShutdown, 2, &["c"]), entry(Clause::CodeAfterOffence, 4, &["a"])];
        let sum = united(&one, &other);
        assert_eq!(sum, united(&other, &one));
        let rules: Vec<_> = sum.iter().map(|entry| (entry.section.as_ref(), entry.count)).collect();
        assert_eq!(rules, [("RFC 6455 §4.1", 1), ("RFC 6455 §7.4.1", 7), ("RFC 6455 §7.4.1", 2)]);
        assert_eq!(sum[1].details, ["a", "b"]);
    }
}
