//! Violations as a report shows them: grouped by what happened, the gravest first, with everything that they happened
//! to, and the story of the first one.

use std::collections::BTreeMap;

use crate::live::clock::pulse::seconds;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Violation};

/// The most subjects of a group that are named.
const SUBJECTS: usize = 40;

/// What was observed, in the parts by which a report groups it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    /// What it happened to, such as the role of a client or the name of an offence; empty for the whole server.
    pub(crate) subject: String,
    /// What happened.
    pub(crate) outcome: String,
    /// What the client sent and received before; empty if that says nothing.
    pub(crate) story: String,
}

impl Observation {
    pub(crate) fn of(subject: &str, outcome: String) -> Self {
        Self { subject: subject.to_owned(), outcome, story: String::new() }
    }

    pub(crate) fn with_story(self, story: String) -> Self {
        Self { story, ..self }
    }

    /// All parts in one sentence.
    pub(crate) fn sentence(&self) -> String {
        let mut sentence = self.outcome.clone();
        if !self.subject.is_empty() {
            sentence = format!("{}: {sentence}", self.subject);
        }
        if !self.story.is_empty() {
            sentence.push_str(&format!(" [{}]", self.story));
        }
        sentence
    }
}

impl From<String> for Observation {
    fn from(outcome: String) -> Self {
        Self { outcome, ..Self::default() }
    }
}

/// The evidence of the violations of one guarantee, one sentence for each outcome.
pub(super) fn sentences<'a>(broken: impl Iterator<Item = (&'a Violation, &'a Observation)>) -> Vec<String> {
    let mut groups: BTreeMap<(Fault, String), Group<'a>> = BTreeMap::new();
    for (violation, seen) in broken {
        let key = (violation.fault, without_measurements(&seen.outcome));
        groups.entry(key).or_insert_with(|| Group::new(violation, seen)).add(seen);
    }
    let mut groups: Vec<Group<'a>> = groups.into_values().collect();
    groups.sort_by_key(|group| (gravity(group.first.0.fault), std::cmp::Reverse(group.count)));
    groups.iter().map(Group::sentence).collect()
}

/// Violations with the same outcome.
struct Group<'a> {
    first: (&'a Violation, &'a Observation),
    count: u64,
    subjects: Vec<(&'a str, u64)>,
}

impl<'a> Group<'a> {
    fn new(violation: &'a Violation, seen: &'a Observation) -> Self {
        Self { first: (violation, seen), count: 0, subjects: Vec::new() }
    }

    fn add(&mut self, seen: &'a Observation) {
        self.count += 1;
        match self.subjects.iter_mut().find(|(subject, _)| *subject == seen.subject) {
            Some((_, count)) => *count += 1,
            None => self.subjects.push((&seen.subject, 1)),
        }
    }

    fn sentence(&self) -> String {
        let (violation, seen) = self.first;
        let mut sentence = violation.fault.name().to_owned();
        if self.count > 1 {
            sentence.push_str(&format!(", {} times", self.count));
        }
        sentence.push_str(&format!(": {}", seen.outcome));
        let named = self.named();
        if !named.is_empty() {
            sentence.push_str(&format!(" – {named}"));
        }
        if violation.at > carillon_server::Timestamp::ZERO {
            let first = if self.count > 1 { "first " } else { "" };
            sentence.push_str(&format!("; {first}at {}", seconds(violation.at)));
        }
        if !seen.story.is_empty() {
            sentence.push_str(&format!(" [{}]", seen.story));
        }
        sentence
    }

    /// The subjects, with counts where there are several of one.
    fn named(&self) -> String {
        let known = self.subjects.iter().filter(|(subject, _)| !subject.is_empty());
        let mut names: Vec<String> = known
            .map(
                |(subject, count)| {
                    if *count > 1 { format!("{subject} ×{count}") } else { (*subject).to_owned() }
                },
            )
            .collect();
        if names.len() > SUBJECTS {
            let more = names.len() - SUBJECTS;
            names.truncate(SUBJECTS);
            names.push(format!("and {more} more"));
        }
        names.join(", ")
    }
}

/// How grave a fault is for a client; the gravest is 0.
fn gravity(fault: Fault) -> u8 {
    match fault {
        Fault::Lost | Fault::Duplicated | Fault::Unexpected | Fault::Dropped => 0,
        Fault::WrongEcho | Fault::WrongText | Fault::Garbled => 1,
        Fault::OutOfOrder | Fault::AfterClose | Fault::Leaked => 2,
        Fault::Late | Fault::WrongClose => 3,
        Fault::WrongLog => 4,
    }
}

/// The outcome without what differs from one measurement to the next: times, sizes and the numbers of texts. Codes
/// and counts stay.
fn without_measurements(outcome: &str) -> String {
    let is_measured = |word: &str| {
        let has_digit = word.contains(|letter: char| letter.is_ascii_digit());
        has_digit && word.trim_matches(|letter: char| !letter.is_alphanumeric()).parse::<u16>().is_err()
    };
    let words = outcome.split(' ').map(|word| if is_measured(word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// How often each guarantee was broken by these violations, as `G3 12 times, G4 once`.
pub(super) fn counted_by_guarantee(counts: &BTreeMap<Guarantee, u64>) -> String {
    let times = |count: u64| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let parts = counts.iter().map(|(guarantee, count)| format!("{guarantee} {}", times(*count)));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use carillon_server::Timestamp;

    use super::*;

    fn broken(fault: Fault, seen: &Observation, second: u64) -> Violation {
        Violation {
            guarantee: Guarantee::G12,
            fault,
            at: Timestamp::ZERO + Duration::from_secs(second),
            client: None,
            detail: seen.sentence(),
        }
    }

    #[test]
    fn violations_are_grouped_by_their_outcome_and_the_gravest_come_first() {
        let wrong = |offence: &str| {
            Observation::of(offence, "answered with a Close of 1000; due was 1002".to_owned())
        };
        let late = Observation::of("listener", "two pushes within 12.3ms".to_owned());
        let later = Observation::of("app client", "two pushes within 9ms".to_owned());
        let all = [
            (Fault::WrongClose, wrong("opcode 5")),
            (Fault::WrongClose, wrong("reserved-bit")),
            (
                Fault::WrongClose,
                Observation::of("x", "answered with a Close of 1011; due was 1002".to_owned()),
            ),
            (Fault::Duplicated, late),
            (Fault::Duplicated, later.with_story("gets a push".to_owned())),
        ];
        let violations: Vec<Violation> =
            all.iter().enumerate().map(|(at, (fault, seen))| broken(*fault, seen, at as u64 + 1)).collect();
        let found = sentences(violations.iter().zip(all.iter().map(|(_, seen)| seen)));
        assert_eq!(
            found,
            [
                "duplicated, 2 times: two pushes within 12.3ms – listener, app client; first at 4.000 s",
                "wrong close, 2 times: answered with a Close of 1000; due was 1002 – opcode 5, reserved-bit; first at \
                 1.000 s",
                "wrong close: answered with a Close of 1011; due was 1002 – x; at 3.000 s",
            ]
        );
    }
}
