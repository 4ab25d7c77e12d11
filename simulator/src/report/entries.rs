//! The verdict on one guarantee and a single violation, as the JSON reports state them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::numbers::rounded;
use crate::oracle::clause::Lapse;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Tally, Violation};
use crate::oracle::verdict::Verdict;

/// The most sentences of evidence for each guarantee of a run on virtual time.
pub(crate) const EVIDENCE: usize = 3;

/// The verdict on one guarantee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuaranteeEntry {
    /// The guarantee, `G1` to `G15`.
    pub id: String,
    /// The name of the guarantee in `PROTOCOL.md`.
    pub name: Cow<'static, str>,
    /// The promise: the first sentence of the guarantee's section in `PROTOCOL.md`.
    #[serde(default)]
    pub promise: String,
    /// `held`, `violated`, `not_exercised` or `undecided`.
    pub verdict: Verdict,
    /// How often the guarantee was exercised: its premise held, and a wrong server would have been convicted.
    pub exercised: u64,
    /// How often the guarantee was broken.
    pub violations: u64,
    /// Sentences about violations, gravest first; in a live run also about what was observed, is undecided or was not
    /// exercised. `run` and `replay` state up to three.
    pub evidence: Vec<String>,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViolationEntry {
    /// The guarantee that broke, `G1` to `G15`.
    pub guarantee: String,
    /// The fault: in which way it broke, such as `late`.
    pub fault: Cow<'static, str>,
    /// When the oracle noticed it, in seconds since the start; virtual seconds if the run had virtual time.
    pub at_seconds: f64,
    /// The number of the client for which it broke; `None` if it concerns the server as a whole.
    pub client: Option<u32>,
    /// What was observed and what was due, in one sentence.
    pub detail: String,
    /// What happened around the violation, line by line, if a story was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
}

/// A departure from the letter of a standard that hurts no one. It does not count for the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaxEntry {
    /// The section of the standard, such as `RFC 6455 §7.1.7`.
    pub section: Cow<'static, str>,
    /// What the section asks for, in one sentence.
    pub rule: Cow<'static, str>,
    /// The guarantee that breaks where laxity counts (`--strict`).
    pub guarantee: String,
    /// How often the server departed from it.
    pub count: u64,
    /// What was observed, each in one sentence.
    pub details: Vec<String>,
}

impl LaxEntry {
    /// The entries of all lapses.
    pub(super) fn all(lapses: &[Lapse]) -> Vec<Self> {
        lapses.iter().map(Self::new).collect()
    }

    /// The entry of a lapse.
    pub(crate) fn new(lapse: &Lapse) -> Self {
        Self {
            section: lapse.clause.section().into(),
            rule: lapse.clause.rule().into(),
            guarantee: lapse.clause.guarantee().to_string(),
            count: lapse.count,
            details: lapse.details.clone(),
        }
    }
}

impl GuaranteeEntry {
    /// The entry of a guarantee.
    pub(crate) fn new(guarantee: Guarantee, verdict: Verdict, tally: Tally, evidence: Vec<String>) -> Self {
        Self {
            id: guarantee.to_string(),
            name: guarantee.name().into(),
            promise: guarantee.promise(),
            verdict,
            exercised: tally.exercised,
            violations: tally.violations,
            evidence,
        }
    }
}

impl ViolationEntry {
    /// The entry of a violation, without a story.
    pub(crate) fn new(violation: &Violation) -> Self {
        Self {
            guarantee: violation.guarantee.to_string(),
            fault: violation.fault.name().into(),
            at_seconds: rounded(violation.at.as_nanos() as f64 / 1e9, 6),
            client: violation.client,
            detail: violation.detail.clone(),
            story: None,
        }
    }
}
