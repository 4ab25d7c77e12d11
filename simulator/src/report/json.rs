//! The report for machines.

use std::borrow::Cow;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Run;
use super::coverage::CoverageEntry;
use super::words::{moment, who};
use crate::metrics::{Counts, Judgement, Metrics, Timing};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Race, Score, Violation};
use crate::oracle::verdict::Verdict;
use crate::world::Outcome;

/// The version of [`Summary`]; it rises when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Sentences of evidence per guarantee.
pub(super) const EVIDENCE: usize = 3;

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
    /// Whether anybody's certificate was taken for the server's: nothing proves that it was the server that answered.
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
    /// Whether somebody stopped it before its end; what it says is true of the time until then.
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

impl Summary {
    /// The same, with the story of the first violation.
    #[must_use]
    pub fn with_story(mut self, story: Option<String>) -> Self {
        if let Some(first) = self.violations.first_mut() {
            first.story = story;
        }
        self
    }

    /// The summary of `run`, which came to `outcome`.
    pub fn new(run: &Run<'_>, outcome: &Outcome) -> Self {
        let score = &outcome.score;
        Self {
            schema_version: SCHEMA_VERSION,
            command: "run".into(),
            arm: run.arm.name().into(),
            url: None,
            insecure: false,
            scenario: run.scenario.name.clone(),
            seed: run.seed,
            clients: run.scenario.clients,
            plan: None,
            period_seconds: rounded(run.scenario.server.period.as_secs_f64(), 3),
            virtual_seconds: Some(rounded(outcome.virtual_time.as_secs_f64(), 3)),
            wall_seconds: rounded(run.wall.as_secs_f64(), 3),
            compression: Some(run.compression(outcome).round()),
            cycles: outcome.cycles,
            deliveries: score.deliveries,
            deliveries_per_second: run.per_second(score.deliveries as f64).round(),
            events: Some(outcome.events),
            digest: Some(format!("{:016x}", outcome.digest)),
            observed_digest: Some(format!("{:016x}", outcome.observed)),
            verdict: Verdict::of_run(&outcome.score),
            interrupted: false,
            shard: None,
            guarantees: Guarantee::ALL.map(|guarantee| GuaranteeEntry::new(guarantee, score)).into(),
            violations: score.violations.iter().map(ViolationEntry::new).collect(),
            thresholds: Vec::new(),
            races: Races::new(score.races),
            coverage: CoverageEntry::all(&score.coverage),
            latency_ms: Latency::new(&score.latency),
            metrics: Some(measured(run, outcome)),
            repeat: run.repeat_line(),
        }
    }
}

impl GuaranteeEntry {
    fn new(guarantee: Guarantee, score: &Score) -> Self {
        let tally = score.tallies[guarantee.index()];
        let broken = score.violations.iter().filter(|violation| violation.guarantee == guarantee);
        Self {
            id: guarantee.to_string(),
            name: guarantee.name().into(),
            promise: guarantee.promise(),
            verdict: Verdict::of(tally),
            exercised: tally.exercised,
            violations: tally.violations,
            evidence: broken.take(EVIDENCE).map(sentence).collect(),
        }
    }
}

impl ViolationEntry {
    pub(super) fn new(violation: &Violation) -> Self {
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

/// What virtual time can measure: latencies and counts. What was lost or duplicated is counted among the violations that
/// were kept.
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
    let (at, who) = (moment(violation.at), who(violation.client));
    format!("{at}, {who}: {}: {}", violation.fault.name(), violation.detail)
}

/// The number with this many digits behind the point.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
