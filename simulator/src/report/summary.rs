//! The summary of a run: the object that `--json` writes.

use std::borrow::Cow;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::coverage::CoverageEntry;
use super::entries::{GuaranteeEntry, LaxEntry, ViolationEntry};
use super::numbers::{per_second, rounded};
use crate::metrics::{Judgement, Metrics};
use crate::oracle::score::Race;
use crate::oracle::verdict::Verdict;

/// The version of [`Summary`]. It rises when a field changes its meaning or is removed.
pub const SCHEMA_VERSION: u32 = 2;

/// The summary of a run: the object that `--json` writes, and that `report`, `compare` and `merge` read.
///
/// Two runs of one seed on virtual time differ only in `wall_seconds`, `compression` and `deliveries_per_second`.
/// Fields that exist only on virtual time are left out of the report of a run on real time, and the other way
/// round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand: `run`, `replay`, `soak` or `conform`.
    pub command: Cow<'static, str>,
    /// The arm that ran it: `core`, `paused` or `live`.
    pub arm: Cow<'static, str>,
    /// The URL of the server on trial; left out for the reference server in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether every certificate was accepted (`--insecure`): then the peer that answered may not be the server.
    #[serde(default)]
    pub insecure: bool,
    /// The name of the scenario.
    pub scenario: String,
    /// The seed of the run. In JSON it is a string, so that every reader reads it exactly.
    #[serde(with = "super::seed")]
    pub seed: u64,
    /// The number of clients.
    pub clients: u32,
    /// The planned number of clients over time, in the syntax of `--plan`; only for a soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The time between two pushes, in seconds.
    pub period_seconds: f64,
    /// Virtual time including the shutdown, in seconds; only on virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_seconds: Option<f64>,
    /// Wall time, in seconds.
    pub wall_seconds: f64,
    /// Virtual time divided by wall time; only on virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<f64>,
    /// The number of cycles that were due before the shutdown.
    pub cycles: u64,
    /// The number of pushes that reached a client.
    pub deliveries: u64,
    /// Pushes that reached a client, per second of wall time.
    pub deliveries_per_second: f64,
    /// The number of simulated events; only on virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The digest of all events, as 16 hexadecimal digits; only on virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The digest of the bytes that each client read, independent of chunks and times, as 16 hexadecimal digits;
    /// only on virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_digest: Option<String>,
    /// The verdict on the whole run: `held` or `violated`; `not_exercised` or `undecided` if no guarantee was
    /// decided.
    pub verdict: Verdict,
    /// Whether the run was stopped before its end. Then the report covers the time until then.
    #[serde(default)]
    pub interrupted: bool,
    /// Which part of a load this report covers; left out if it covers the whole load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The verdict on each guarantee, G1 first.
    pub guarantees: Vec<GuaranteeEntry>,
    /// The first violations. `guarantees` counts all of them.
    pub violations: Vec<ViolationEntry>,
    /// Departures from the letter of a standard that hurt no one. They count neither for the verdict nor for the exit
    /// code.
    #[serde(default)]
    pub lax: Vec<LaxEntry>,
    /// What was observed of the server that is neither right nor wrong, each in one sentence; only on virtual time. On
    /// real time such sentences are evidence of a guarantee.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Sentences that stand on top of the report: what the reader must know before any verdict.
    #[serde(default)]
    pub headlines: Vec<String>,
    /// The thresholds of the run and their results, in the order in which they were given.
    #[serde(default)]
    pub thresholds: Vec<Judgement>,
    /// How many due instants fell into a change (such as a connect) whose outcome was open.
    pub races: Races,
    /// How often each guarantee was exercised on a connection that had met a hazard; without zeros.
    pub coverage: Vec<CoverageEntry>,
    /// Time from the due instant to the arrival of a push; `null` if nothing was delivered.
    pub latency_ms: Option<Latency>,
    /// All measurements; on virtual time only those that exist there.
    pub metrics: Option<Metrics>,
    /// The command line that repeats the run.
    pub repeat: String,
}

/// Which of the equal parts of a load a report covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// The numbers of the parts, from 1, in ascending order; several only after a merge.
    pub numbers: Vec<u32>,
    /// The number of all parts.
    pub of: u32,
}

/// How many due instants fell between the start and the end of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Races {
    /// While a client left.
    pub close: u64,
    /// While a client connected.
    pub connect: u64,
    /// While a `subscribe` was in flight.
    pub subscribe: u64,
    /// While an `unsubscribe` was in flight.
    pub unsubscribe: u64,
}

/// The distribution of latencies, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The maximum.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

/// The fields that every report has, on virtual or real time.
pub(crate) struct Basics {
    pub(crate) command: &'static str,
    pub(crate) arm: &'static str,
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) clients: u32,
    pub(crate) period_seconds: f64,
    /// In seconds, not rounded.
    pub(crate) wall_seconds: f64,
    pub(crate) cycles: u64,
    pub(crate) deliveries: u64,
    pub(crate) verdict: Verdict,
    pub(crate) guarantees: Vec<GuaranteeEntry>,
    pub(crate) violations: Vec<ViolationEntry>,
    pub(crate) latency_ms: Option<Latency>,
    pub(crate) metrics: Metrics,
    pub(crate) repeat: String,
}

impl Summary {
    /// The summary, with the story of the first violation.
    #[must_use]
    pub fn with_story(mut self, story: Option<String>) -> Self {
        if let Some(first) = self.violations.first_mut() {
            first.story = story;
        }
        self
    }

    /// A summary without the optional fields.
    pub(crate) fn of(basics: Basics) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            command: basics.command.into(),
            arm: basics.arm.into(),
            url: None,
            insecure: false,
            scenario: basics.scenario,
            seed: basics.seed,
            clients: basics.clients,
            plan: None,
            period_seconds: basics.period_seconds,
            virtual_seconds: None,
            wall_seconds: rounded(basics.wall_seconds, 3),
            compression: None,
            cycles: basics.cycles,
            deliveries: basics.deliveries,
            deliveries_per_second: per_second(basics.deliveries as f64, basics.wall_seconds).round(),
            events: None,
            digest: None,
            observed_digest: None,
            verdict: basics.verdict,
            interrupted: false,
            shard: None,
            guarantees: basics.guarantees,
            violations: basics.violations,
            lax: Vec::new(),
            remarks: Vec::new(),
            headlines: Vec::new(),
            thresholds: Vec::new(),
            races: Races::default(),
            coverage: Vec::new(),
            latency_ms: basics.latency_ms,
            metrics: Some(basics.metrics),
            repeat: basics.repeat,
        }
    }
}

impl Races {
    pub(super) fn new(races: [u64; 4]) -> Self {
        let count = |race: Race| races[race as usize];
        Self {
            close: count(Race::Close),
            connect: count(Race::Connect),
            subscribe: count(Race::Subscribe),
            unsubscribe: count(Race::Unsubscribe),
        }
    }
}

impl Latency {
    /// The figures of a histogram of microseconds; `None` if it is empty.
    pub fn new(latency: &Histogram<u64>) -> Option<Self> {
        let millis = |micros: f64| rounded(micros / 1000.0, 3);
        let quantile = |at| millis(latency.value_at_quantile(at) as f64);
        (!latency.is_empty()).then(|| Self {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: millis(latency.max() as f64),
            mean: millis(latency.mean()),
        })
    }
}
