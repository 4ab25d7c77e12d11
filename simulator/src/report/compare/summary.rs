//! The figures of two sides, checked against limits.

use serde::{Deserialize, Serialize};

use super::limit::{Limit, percent};
use super::noise::{Noise, NoiseSource};
use crate::metrics::{Aggregate, Metric};
use crate::oracle::verdict::Verdict;
use crate::report::facts::{ARM, CLIENTS, Fact, PERIOD, PLAN, SCENARIO, difference};
use crate::report::{SCHEMA_VERSION, Summary};

/// The figures that are compared even without a limit, if both sides have them.
const SHOWN: [(Metric, Aggregate); 13] = [
    (Metric::Connect, Aggregate::Percentile(99.0)),
    (Metric::Echo, Aggregate::Percentile(99.0)),
    (Metric::PushLatency, Aggregate::Med),
    (Metric::PushLatency, Aggregate::Percentile(90.0)),
    (Metric::PushLatency, Aggregate::Percentile(99.0)),
    (Metric::PushLatency, Aggregate::Max),
    (Metric::Spread, Aggregate::Percentile(95.0)),
    (Metric::OwnDelay, Aggregate::Percentile(99.0)),
    (Metric::Deliveries, Aggregate::Rate),
    (Metric::Lost, Aggregate::Count),
    (Metric::Duplicates, Aggregate::Count),
    (Metric::ServerMemory, Aggregate::Max),
    (Metric::ServerCpu, Aggregate::Avg),
];

/// Facts that influence times, apart from the server.
const FACTS: [Fact; 5] = [SCENARIO, CLIENTS, PLAN, PERIOD, ARM];

/// One or more runs of the same configuration, each with the name of its file.
pub type Side = [(String, Summary)];

/// The comparison of all figures: the object that `compare --json` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareSummary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand, `compare`.
    pub command: String,
    /// The files of the runs before the change.
    pub base: Vec<String>,
    /// The files of the runs after the change.
    pub new: Vec<String>,
    /// `violated` if a guarantee was violated in any of the new runs, else `held`.
    pub verdict: Verdict,
    /// Whether any figure regressed, or could not be compared with its limit.
    pub regressed: bool,
    /// First the figures with limits, in the order of the limits, then the others.
    pub figures: Vec<FigureEntry>,
}

/// The comparison of one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureEntry {
    /// The metric and its aggregate, such as `push_latency:p(99)`.
    pub figure: String,
    /// The unit: `ms`, `B`, `B/h`, `%`, `/s`, or empty for a plain number.
    pub unit: String,
    /// The mean of the figure over the base runs; `null` if a run does not have it.
    pub base: Option<f64>,
    /// The mean of the figure over the new runs; `null` if a run does not have it.
    pub new: Option<f64>,
    /// The difference `new - base`; `null` if either is missing.
    pub change: Option<f64>,
    /// The difference in percent of the base; `null` if the base is 0.
    pub change_percent: Option<f64>,
    /// The difference that chance does not exceed in 95 of 100 cases; `null` if unknown.
    pub noise: Option<f64>,
    /// How the noise was estimated: `runs`, `samples` or `unknown`.
    pub noise_source: NoiseSource,
    /// The change that counts as a regression; `null` if the figure has no limit.
    pub limit: Option<String>,
    /// The verdict on the change.
    pub change_verdict: ChangeVerdict,
}

/// The verdict on a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeVerdict {
    /// The change is larger than noise, and within its limit or without one.
    Changed,
    /// The figure is missing in a run.
    NoData,
    /// The change crosses its limit and is larger than noise.
    Regressed,
    /// There is no change.
    Unchanged,
    /// The change is not larger than noise, whatever its limit.
    WithinNoise,
}

impl CompareSummary {
    /// Compares two sides and checks the changes against the limits.
    ///
    /// # Errors
    ///
    /// The runs cannot be compared; the sentence names them and the reason.
    pub fn new(base: &Side, new: &Side, limits: &[Limit]) -> Result<Self, String> {
        check(base, new)?;
        let limited = limits.iter().map(|limit| (limit.metric, limit.aggregate, Some(limit)));
        let is_limited = |metric, aggregate| {
            limits.iter().any(|limit| (limit.metric, limit.aggregate) == (metric, aggregate))
        };
        let others = SHOWN.into_iter().filter(|(metric, aggregate)| !is_limited(*metric, *aggregate));
        let others = others.map(|(metric, aggregate)| (metric, aggregate, None));
        let figures: Vec<_> = limited
            .chain(others)
            .map(|(metric, aggregate, limit)| FigureEntry::new(metric, aggregate, limit, base, new))
            .filter(|entry| entry.limit.is_some() || (entry.base.is_some() && entry.new.is_some()))
            .collect();
        let is_broken = |(_, summary): &(String, Summary)| summary.verdict == Verdict::Violated;
        let names = |side: &Side| side.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            command: "compare".to_owned(),
            base: names(base),
            new: names(new),
            verdict: if new.iter().any(is_broken) { Verdict::Violated } else { Verdict::Held },
            regressed: figures.iter().any(FigureEntry::is_failure),
            figures,
        })
    }
}

impl FigureEntry {
    fn new(metric: Metric, aggregate: Aggregate, limit: Option<&Limit>, base: &Side, new: &Side) -> Self {
        let (before, after) = (values(metric, aggregate, base), values(metric, aggregate, new));
        let mut entry = Self {
            figure: format!("{metric}:{aggregate}"),
            unit: metric.unit(aggregate).name().to_owned(),
            base: mean(&before),
            new: mean(&after),
            change: None,
            change_percent: None,
            noise: None,
            noise_source: NoiseSource::Unknown,
            limit: limit.map(Limit::to_string),
            change_verdict: ChangeVerdict::NoData,
        };
        if let (Some(one), Some(other)) = (entry.base, entry.new) {
            let noise = Noise::between_runs(&before, &after)
                .or_else(|| within_runs(metric, aggregate, base, new))
                .unwrap_or(Noise { size: 0.0, source: NoiseSource::Unknown });
            let change = other - one;
            entry.change = Some(change);
            entry.change_percent = Some(percent(one, change)).filter(|percent| percent.is_finite());
            entry.noise = (noise.source != NoiseSource::Unknown).then_some(noise.size);
            entry.noise_source = noise.source;
            entry.change_verdict = if change == 0.0 {
                ChangeVerdict::Unchanged
            } else if change.abs() <= noise.size {
                ChangeVerdict::WithinNoise
            } else if limit.is_some_and(|limit| limit.is_crossed(one, other)) {
                ChangeVerdict::Regressed
            } else {
                ChangeVerdict::Changed
            };
        }
        entry
    }

    /// Whether the figure fails the comparison. A limit without data fails, too.
    pub fn is_failure(&self) -> bool {
        match self.change_verdict {
            ChangeVerdict::Regressed => true,
            ChangeVerdict::NoData => self.limit.is_some(),
            ChangeVerdict::Changed | ChangeVerdict::Unchanged | ChangeVerdict::WithinNoise => false,
        }
    }
}

fn within_runs(metric: Metric, aggregate: Aggregate, base: &Side, new: &Side) -> Option<Noise> {
    let [one, other] = [base, new].map(|side| side.first().and_then(|(_, summary)| summary.metrics.as_ref()));
    Some(Noise::within_runs(metric, aggregate, one?, other?))
}

/// The figure in each run; empty if a run does not have it.
fn values(metric: Metric, aggregate: Aggregate, side: &Side) -> Vec<f64> {
    let value = |(_, summary): &(String, Summary)| metric.of(aggregate, summary.metrics.as_ref()?);
    side.iter().map(value).collect::<Option<_>>().unwrap_or_default()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Checks that all runs measure the same, and that no run occurs twice.
fn check(base: &Side, new: &Side) -> Result<(), String> {
    let Some(first) = base.first() else { return Err("there is no run to compare with".to_owned()) };
    if new.is_empty() {
        return Err("there is no run to compare".to_owned());
    }
    for other in base.iter().chain(new) {
        if let Some(what) = difference(&FACTS, first, other) {
            return Err(format!("these do not measure the same: {what}"));
        }
        if other.1.metrics.is_none() {
            return Err(format!("{} has no metrics to compare", other.0));
        }
    }
    for side in [base, new] {
        for (index, (name, run)) in side.iter().enumerate() {
            if let Some((earlier, _)) = side[..index].iter().find(|(_, earlier)| earlier == run) {
                return Err(format!("{name} is the same run as {earlier}, which says nothing about noise"));
            }
        }
    }
    Ok(())
}
