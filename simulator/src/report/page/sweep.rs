//! The page of a sweep.

use askama::Template;

use super::view::{Badge, LaxRow};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::format::grouped;
use crate::report::{SweepEntry, SweepSummary};

/// The page of a sweep.
#[derive(Template)]
#[template(path = "sweep.html")]
pub(super) struct SweepPage {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) verdict: Badge,
    pub(super) warnings: Vec<String>,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) guarantees: Vec<SweepRow>,
    pub(super) lax: Vec<LaxRow>,
    pub(super) failures: Vec<FailureRow>,
}

pub(super) struct SweepRow {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) verdict: Badge,
    pub(super) exercised: String,
    pub(super) violations: String,
    pub(super) failing: String,
}

pub(super) struct FailureRow {
    pub(super) seed: u64,
    pub(super) guarantees: String,
    pub(super) detail: String,
}

impl SweepPage {
    pub(super) fn new(summary: &SweepSummary) -> Self {
        let (seeds, failed) = (grouped(summary.seeds), summary.failures.len() as u64);
        let words = match failed {
            0 => format!("{seeds} of {seeds} seeds held"),
            _ => format!("{} of {seeds} seeds failed", grouped(failed)),
        };
        let verdict = if failed > 0 { Verdict::Violated } else { summary.verdict };
        let failure = |entry: &crate::report::FailureEntry| FailureRow {
            seed: entry.seed,
            guarantees: entry.guarantees.join(", "),
            detail: entry.detail.clone(),
        };
        Self {
            title: format!("sweep of {}", summary.scenario),
            subtitle: format!("the reference server, {seeds} seeds from {}", summary.from),
            verdict: Badge { words, ..Badge::new(verdict) },
            warnings: warnings(summary),
            facts: facts(summary),
            guarantees: summary.guarantees.iter().map(SweepRow::new).collect(),
            lax: summary.lax.iter().map(LaxRow::new).collect(),
            failures: summary.failures.iter().map(failure).collect(),
        }
    }
}

fn warnings(summary: &SweepSummary) -> Vec<String> {
    match &summary.broken_promises {
        Some(cells) if !cells.is_empty() => vec![format!("Promised, and never met: {}.", cells.join(", "))],
        _ => Vec::new(),
    }
}

fn facts(summary: &SweepSummary) -> Vec<(&'static str, String)> {
    vec![
        ("Arm", summary.arm.to_string()),
        ("Clients of each seed", grouped(u64::from(summary.clients))),
        ("Push every", format!("{} s", summary.period_seconds)),
        ("Virtual time of each seed", format!("{} s", summary.duration_seconds)),
        ("First seed", summary.from.to_string()),
        ("Deliveries", grouped(summary.deliveries)),
        ("Events", grouped(summary.events)),
        ("Wall time", format!("{} s", summary.wall_seconds)),
    ]
}

impl SweepRow {
    fn new(entry: &SweepEntry) -> Self {
        let known = Guarantee::ALL.into_iter().find(|guarantee| guarantee.to_string() == entry.id);
        Self {
            id: entry.id.clone(),
            name: known.map_or("", Guarantee::name),
            verdict: Badge::new(entry.verdict),
            exercised: grouped(entry.exercised),
            violations: grouped(entry.violations),
            failing: grouped(entry.failing_seeds),
        }
    }
}
