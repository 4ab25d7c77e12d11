//! The JSON summary of a run on virtual time.

use super::coverage::CoverageEntry;
use super::entries::{EVIDENCE, GuaranteeEntry, LaxEntry, ViolationEntry};
use super::format::{moment, subject};
use super::numbers::rounded;
use super::run::Run;
use super::summary::{Basics, Latency, Races, Summary};
use crate::metrics::{Counts, Metrics, Timing};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Score, Violation};
use crate::oracle::verdict::Verdict;
use crate::world::Outcome;

impl Summary {
    /// The summary of `run`, whose outcome is `outcome`.
    pub fn new(run: &Run<'_>, outcome: &Outcome) -> Self {
        let score = &outcome.score;
        let basics = Basics {
            command: "run",
            arm: run.arm.name(),
            scenario: run.scenario.name.clone(),
            seed: run.seed,
            clients: run.scenario.clients,
            period_seconds: rounded(run.scenario.server.period.as_secs_f64(), 3),
            wall_seconds: run.wall.as_secs_f64(),
            cycles: outcome.cycles,
            deliveries: score.deliveries,
            verdict: Verdict::of_run(score),
            guarantees: Guarantee::ALL.map(|guarantee| guarantee_entry(guarantee, score)).into(),
            violations: score.violations.iter().map(ViolationEntry::new).collect(),
            latency_ms: Latency::new(&score.latency),
            metrics: measured(run, outcome),
            repeat: run.repeat_line(),
        };
        Self {
            virtual_seconds: Some(rounded(outcome.virtual_time.as_secs_f64(), 3)),
            compression: Some(run.compression(outcome).round()),
            events: Some(outcome.events),
            digest: Some(format!("{:016x}", outcome.digest)),
            observed_digest: Some(format!("{:016x}", outcome.observed)),
            lax: LaxEntry::all(&score.lapses),
            remarks: score.remarks.clone(),
            races: Races::new(score.races),
            coverage: CoverageEntry::all(&score.coverage),
            ..Self::of(basics)
        }
    }
}

fn guarantee_entry(guarantee: Guarantee, score: &Score) -> GuaranteeEntry {
    let tally = score.tallies[guarantee.index()];
    let broken = score.violations.iter().filter(|violation| violation.guarantee == guarantee);
    let evidence = broken.take(EVIDENCE).map(sentence).collect();
    GuaranteeEntry::new(guarantee, Verdict::of(tally), tally, evidence)
}

/// The measurements that exist on virtual time: latencies and counts. Lost and duplicated pushes are counted among
/// the violations that were kept.
fn measured(run: &Run<'_>, outcome: &Outcome) -> Metrics {
    let score = &outcome.score;
    let count = |fault| {
        let of_fault = score.violations.iter().filter(|violation| violation.fault == fault);
        of_fault.count() as u64
    };
    Metrics {
        started_unix_millis: u64::try_from(run.scenario.wall_origin.as_unix_nanos() / 1_000_000).unwrap_or(0),
        seconds: rounded(outcome.virtual_time.as_secs_f64(), 3),
        push_latency: Timing::from(&score.latency),
        counts: Counts {
            deliveries: score.deliveries,
            duplicates: count(Fault::Duplicated),
            lost: count(Fault::Lost),
            violations: score.violation_count(),
            ..Counts::default()
        },
        ..Metrics::default()
    }
}

fn sentence(violation: &Violation) -> String {
    let (at, subject) = (moment(violation.at), subject(violation.client));
    format!("{at}, {subject}: {}: {}", violation.fault.name(), violation.detail)
}
