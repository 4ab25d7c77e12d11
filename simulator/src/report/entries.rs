//! The verdict on one guarantee, and one violation, as reports for machines state them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::numbers::rounded;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Tally, Violation};
use crate::oracle::verdict::Verdict;

/// Sentences of evidence per guarantee.
pub(crate) const EVIDENCE: usize = 3;

/// The verdict on one guarantee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuaranteeEntry {
    /// `G1` to `G15`.
    pub id: String,
    /// The name that `PROTOCOL.md` gives it.
    pub name: Cow<'static, str>,
    /// What it promises: the first sentence of its section there.
    #[serde(default)]
    pub promise: String,
    /// `held`, `violated`, `not_exercised` or `undecided`.
    pub verdict: Verdict,
    /// Times that its premise held and a wrong server would have been convicted.
    pub exercised: u64,
    /// Times that it was broken.
    pub violations: u64,
    /// Up to three sentences about how it was broken.
    pub evidence: Vec<String>,
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViolationEntry {
    /// `G1` to `G15`.
    pub guarantee: String,
    /// In which way.
    pub fault: Cow<'static, str>,
    /// When it came to light, in seconds since the start, virtual ones where time is virtual.
    pub at_seconds: f64,
    /// The client that it happened to.
    pub client: Option<u32>,
    /// What was seen, and what was due, in one sentence.
    pub detail: String,
    /// What happened around it, line by line, if that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
}

impl GuaranteeEntry {
    /// The row of a guarantee.
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
    /// The row of a violation, without a story.
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
