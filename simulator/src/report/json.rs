//! The report for machines.

use serde::Serialize;

use super::coverage::CoverageEntry;
use super::words::{moment, who};
use super::{Run, Verdict};
use crate::guarantee::Guarantee;
use crate::score::{Race, Score, Violation};
use crate::world::Outcome;

/// The version of [`Summary`]; it rises when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Sentences of evidence per guarantee.
const EVIDENCE: usize = 3;

/// What a run came to: the object that `--json` writes.
///
/// Two runs of one seed differ in `wall_seconds`, `compression` and `deliveries_per_second`, and in nothing else.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand, `run`.
    pub command: &'static str,
    /// Where it ran: `core` or `paused`.
    pub arm: &'static str,
    /// The name of the scenario.
    pub scenario: String,
    /// What decided the run; drawn seeds fit 48 bits, so that every reader of JSON takes them for what they are.
    pub seed: u64,
    /// How many clients there were.
    pub clients: u32,
    /// The time between two pushes.
    pub period_seconds: f64,
    /// Virtual time, the shutdown included.
    pub virtual_seconds: f64,
    /// Wall time.
    pub wall_seconds: f64,
    /// Virtual time per wall time.
    pub compression: f64,
    /// Cycles that were due before the shutdown.
    pub cycles: u64,
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// Pushes that reached a client, per second of wall time.
    pub deliveries_per_second: f64,
    /// Simulated events.
    pub events: u64,
    /// The digest of every event, in 16 hexadecimal digits.
    pub digest: String,
    /// The digest of what each client read, however it was cut and whenever it came, in 16 hexadecimal digits.
    pub observed_digest: String,
    /// `held` or `violated`.
    pub verdict: Verdict,
    /// The verdict on each guarantee, G1 first.
    pub guarantees: Vec<GuaranteeEntry>,
    /// The first violations; `guarantees` counts all of them.
    pub violations: Vec<ViolationEntry>,
    /// Due instants that fell into a change, while its outcome was open.
    pub races: Races,
    /// How often each guarantee was exercised on a connection that had met a hazard, but for what never happened.
    pub coverage: Vec<CoverageEntry>,
    /// From the due instant to the arrival of the push; `null` if nothing was delivered.
    pub latency_ms: Option<Latency>,
    /// The command to paste that repeats the run.
    pub repeat: String,
}

/// The verdict on one guarantee.
#[derive(Clone, Debug, Serialize)]
pub struct GuaranteeEntry {
    /// `G1` to `G15`.
    pub id: String,
    /// The name that `PROTOCOL.md` gives it.
    pub name: &'static str,
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
#[derive(Clone, Debug, Serialize)]
pub struct ViolationEntry {
    /// `G1` to `G15`.
    pub guarantee: String,
    /// In which way.
    pub fault: &'static str,
    /// When it came to light, in virtual seconds.
    pub at_seconds: f64,
    /// The client that it happened to.
    pub client: Option<u32>,
    /// What was seen, and what was due, in one sentence.
    pub detail: String,
}

/// Due instants that fell between the start of a change and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    /// The summary of `run`, which came to `outcome`.
    pub fn new(run: &Run<'_>, outcome: &Outcome) -> Self {
        let score = &outcome.score;
        Self {
            schema_version: SCHEMA_VERSION,
            command: "run",
            arm: run.arm.name(),
            scenario: run.scenario.name.clone(),
            seed: run.seed,
            clients: run.scenario.clients,
            period_seconds: rounded(run.scenario.server.period.as_secs_f64(), 3),
            virtual_seconds: rounded(outcome.virtual_time.as_secs_f64(), 3),
            wall_seconds: rounded(run.wall.as_secs_f64(), 3),
            compression: run.compression(outcome).round(),
            cycles: outcome.cycles,
            deliveries: score.deliveries,
            deliveries_per_second: run.per_second(score.deliveries as f64).round(),
            events: outcome.events,
            digest: format!("{:016x}", outcome.digest),
            observed_digest: format!("{:016x}", outcome.observed),
            verdict: Verdict::of_run(outcome),
            guarantees: Guarantee::ALL.map(|guarantee| GuaranteeEntry::new(guarantee, score)).into(),
            violations: score.violations.iter().map(ViolationEntry::new).collect(),
            races: Races::new(score.races),
            coverage: CoverageEntry::all(&score.coverage),
            latency_ms: Latency::new(score),
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
            name: guarantee.name(),
            verdict: Verdict::of(tally),
            exercised: tally.exercised,
            violations: tally.violations,
            evidence: broken.take(EVIDENCE).map(sentence).collect(),
        }
    }
}

impl ViolationEntry {
    fn new(violation: &Violation) -> Self {
        Self {
            guarantee: violation.guarantee.to_string(),
            fault: violation.fault.name(),
            at_seconds: rounded(violation.at.as_nanos() as f64 / 1e9, 6),
            client: violation.client,
            detail: violation.detail.clone(),
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
    fn new(score: &Score) -> Option<Self> {
        let latency = &score.latency;
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

fn sentence(violation: &Violation) -> String {
    let (at, who) = (moment(violation.at), who(violation.client));
    format!("{at}, {who}: {}: {}", violation.fault.name(), violation.detail)
}

/// The number with this many digits behind the point.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
