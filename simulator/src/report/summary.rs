//! What a run came to, for machines: the object that `--json` writes.

use std::borrow::Cow;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::coverage::CoverageEntry;
use super::entries::{GuaranteeEntry, ViolationEntry};
use super::numbers::{per_second, rounded};
use crate::metrics::{Judgement, Metrics};
use crate::oracle::score::Race;
use crate::oracle::verdict::Verdict;

/// The version of [`Summary`]; it rises when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// What a run came to: the object that `--json` writes, and that `report`, `compare` and `merge` read.
///
/// Two runs of one seed on virtual time differ in `wall_seconds`, `compression` and `deliveries_per_second`, and in
/// nothing else. What only virtual time has is left out of the object where a run had real time, and the other way round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand: `run`, `replay`, `soak` or `conform`.
    pub command: Cow<'static, str>,
    /// Where it ran: `core`, `paused` or `live`.
    pub arm: Cow<'static, str>,
    /// What was on trial, if it was not the reference server in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether every certificate was accepted as the server's: nothing proves that it was the server that answered.
    #[serde(default)]
    pub insecure: bool,
    /// The name of the scenario.
    pub scenario: String,
    /// What decided the run; drawn seeds fit 48 bits, so that every reader of JSON takes them for what they are.
    pub seed: u64,
    /// How many clients there were.
    pub clients: u32,
    /// How many clients there were to be, and when, as `--plan` says it; only of a soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The time between two pushes.
    pub period_seconds: f64,
    /// Virtual time, the shutdown included; only of virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_seconds: Option<f64>,
    /// Wall time.
    pub wall_seconds: f64,
    /// Virtual time per wall time; only of virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<f64>,
    /// Cycles that were due before the shutdown.
    pub cycles: u64,
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// Pushes that reached a client, per second of wall time.
    pub deliveries_per_second: f64,
    /// Simulated events; only of virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The digest of every event, in 16 hexadecimal digits; only of virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The digest of what each client read, however it was cut and whenever it came, in 16 hexadecimal digits; only of
    /// virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_digest: Option<String>,
    /// `held` or `violated`; `not_exercised` or `undecided` where nothing was settled.
    pub verdict: Verdict,
    /// Whether it was stopped before its end; what it says is true of the time until then.
    #[serde(default)]
    pub interrupted: bool,
    /// Which part of a load this is; left out if it is all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The verdict on each guarantee, G1 first.
    pub guarantees: Vec<GuaranteeEntry>,
    /// The first violations; `guarantees` counts all of them.
    pub violations: Vec<ViolationEntry>,
    /// The bounds that it was held to, in the order in which they were given.
    #[serde(default)]
    pub thresholds: Vec<Judgement>,
    /// Due instants that fell into a change, while its outcome was open.
    pub races: Races,
    /// How often each guarantee was exercised on a connection that had met a hazard, but for what never happened.
    pub coverage: Vec<CoverageEntry>,
    /// From the due instant to the arrival of the push; `null` if nothing was delivered.
    pub latency_ms: Option<Latency>,
    /// Everything that was measured; of virtual time only what that has.
    pub metrics: Option<Metrics>,
    /// The command to paste that repeats the run.
    pub repeat: String,
}

/// Some of the equal parts of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which of the parts, from 1, in rising order; one unless reports were merged.
    pub numbers: Vec<u32>,
    /// How many parts there are.
    pub of: u32,
}

/// Due instants that fell between the start of a change and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Races {
    /// A client left.
    pub close: u64,
    /// A client arrived.
    pub connect: u64,
    /// A `subscribe` was in flight.
    pub subscribe: u64,
    /// An `unsubscribe` was in flight.
    pub unsubscribe: u64,
}

/// The spread of latencies, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// Nine in ten were faster.
    pub p90: f64,
    /// 99 in a hundred were faster.
    pub p99: f64,
    /// 999 in a thousand were faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
    /// The average.
    pub mean: f64,
}

/// What every report states, whichever kind of time the run had.
pub(crate) struct Basics {
    pub(crate) command: &'static str,
    pub(crate) arm: &'static str,
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) clients: u32,
    pub(crate) period_seconds: f64,
    /// Not rounded.
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
    /// The same, with the story of the first violation.
    #[must_use]
    pub fn with_story(mut self, story: Option<String>) -> Self {
        if let Some(first) = self.violations.first_mut() {
            first.story = story;
        }
        self
    }

    /// The summary of a run that has none of the optional parts.
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
    /// The figures of a histogram of microseconds.
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
