//! The judge's verdicts in the form that all reports share.

use carillon_server::Timestamp;

use super::Judge;
use crate::live::run_state::RunState;
use crate::metrics::Judgement;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Tally, Violation};
use crate::oracle::verdict::Verdict;
use crate::report::{Basics, GuaranteeEntry, Latency, LaxEntry, Shard, Summary, ViolationEntry};

/// What a report states about a live run.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) command: &'static str,
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) clients: u32,
    pub(crate) plan: Option<String>,
    pub(crate) shard: Option<Shard>,
    pub(crate) thresholds: Vec<Judgement>,
    pub(crate) interrupted: bool,
    pub(crate) repeat: String,
}

/// The verdict on each guarantee, G1 first.
pub(crate) fn entries(judge: &Judge, tried: &[Guarantee]) -> Vec<GuaranteeEntry> {
    Guarantee::ALL.map(|guarantee| entry(judge, tried.contains(&guarantee), guarantee)).into()
}

/// The verdict on the whole run.
pub(crate) fn overall(entries: &[GuaranteeEntry]) -> Verdict {
    let has = |verdict| entries.iter().any(|entry| entry.verdict == verdict);
    [Verdict::Violated, Verdict::Held, Verdict::Undecided]
        .into_iter()
        .find(|verdict| has(*verdict))
        .unwrap_or(Verdict::NotExercised)
}

/// The JSON object.
pub(crate) fn summary(state: &RunState, entries: &[GuaranteeEntry], trial: Trial) -> Summary {
    let judge = state.judge.borrow();
    let metrics = state.metrics.borrow().clone();
    let basics = Basics {
        command: trial.command,
        arm: "live",
        scenario: trial.scenario,
        seed: trial.seed,
        clients: trial.clients,
        period_seconds: judge.grid.period().as_secs_f64(),
        wall_seconds: metrics.seconds,
        cycles: judge.grid.cycles().len() as u64,
        deliveries: judge.deliveries(),
        verdict: overall(entries),
        guarantees: entries.to_vec(),
        violations: judge.violations().iter().map(violation).collect(),
        latency_ms: Latency::new(metrics.push_latency.histogram()),
        metrics,
        repeat: trial.repeat,
    };
    Summary {
        url: Some(state.address.to_string()),
        plan: trial.plan,
        insecure: state.tls.as_ref().is_some_and(|tls| tls.is_insecure),
        interrupted: trial.interrupted,
        lax: judge.lapses().iter().map(LaxEntry::new).collect(),
        headlines: judge.headlines().to_vec(),
        shard: trial.shard,
        thresholds: trial.thresholds,
        ..Summary::of(basics)
    }
}

fn entry(judge: &Judge, is_tried: bool, guarantee: Guarantee) -> GuaranteeEntry {
    let (tally, doubts) = (judge.tally(guarantee), judge.doubts(guarantee));
    let verdict = match Verdict::of(tally) {
        _ if !is_tried => Verdict::NotExercised,
        Verdict::NotExercised if !doubts.is_empty() => Verdict::Undecided,
        Verdict::Held if judge.is_undecided(guarantee) => Verdict::Undecided,
        verdict => verdict,
    };
    let mut evidence: Vec<String> = Vec::new();
    if !is_tried {
        evidence.push("not selected".to_owned());
    } else {
        evidence.extend(judge.evidence(guarantee));
        if verdict != Verdict::Violated {
            evidence.extend(doubts.iter().cloned());
            evidence.extend(judge.findings(guarantee).iter().cloned());
        }
        if verdict == Verdict::NotExercised {
            evidence.extend(why_not(guarantee).map(str::to_owned));
        }
    }
    let counted = if is_tried { tally } else { Tally::default() };
    GuaranteeEntry::new(guarantee, verdict, counted, evidence)
}

/// Why a guarantee was not exercised, if there is a known reason.
fn why_not(guarantee: Guarantee) -> Option<&'static str> {
    match guarantee {
        Guarantee::G14 => Some("conform tells only a server that it has started (--spawn) to shut down"),
        Guarantee::G15 => Some(
            "conform reads only the log of a server that it has started (--spawn), and only with --strict",
        ),
        _ => None,
    }
}

fn violation(violation: &Violation) -> ViolationEntry {
    // A real instant is truncated to the microsecond, not rounded.
    let micros = violation.at.since(Timestamp::ZERO).as_micros() as f64;
    ViolationEntry { at_seconds: micros / 1e6, ..ViolationEntry::new(violation) }
}
