//! Facts that two reports must have in common before their figures are combined.

use super::summary::Summary;

/// A fact that influences a run: its name, and how to read it from a report.
pub(super) struct Fact(&'static str, fn(&Summary) -> String);

pub(super) const SCENARIO: Fact = Fact("scenario", |summary| summary.scenario.clone());
pub(super) const SEED: Fact = Fact("seed", |summary| summary.seed.to_string());
pub(super) const CLIENTS: Fact = Fact("number of clients", |summary| summary.clients.to_string());
pub(super) const PLAN: Fact =
    Fact("plan", |summary| summary.plan.clone().unwrap_or_else(|| "none".to_owned()));
pub(super) const PERIOD: Fact = Fact("period", |summary| format!("{} s", summary.period_seconds));
pub(super) const ARM: Fact = Fact("arm", |summary| summary.arm.to_string());

/// The first of `facts` in which two reports differ, as a sentence. Each report comes with the name of its file.
pub(super) fn difference(
    facts: &[Fact],
    (first, one): &(String, Summary),
    (second, other): &(String, Summary),
) -> Option<String> {
    facts.iter().find_map(|Fact(what, read)| {
        let (mine, theirs) = (read(one), read(other));
        (mine != theirs).then(|| format!("the {what} is {mine} in {first}, but {theirs} in {second}"))
    })
}
