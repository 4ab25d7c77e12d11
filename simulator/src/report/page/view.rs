//! The texts on the page of a run; templates and Markdown only arrange them.

use std::time::Duration;

use askama::Template;

use super::figures::Figure;
use crate::metrics::{Aggregate, Judgement, Metric, Metrics, Unit};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::evidence::{count_outcome, not_asked_for};
use crate::report::format::{INSECURE, counted, grouped, subject};
use crate::report::{GuaranteeEntry, LaxEntry, Summary, ViolationEntry};
use crate::units::format_span;

/// The page of a run.
#[derive(Template)]
#[template(path = "run.html")]
pub(super) struct RunPage {
    pub(super) title: String,
    /// What was run, in one line.
    pub(super) subtitle: String,
    pub(super) verdict: Badge,
    /// Warnings that a reader must see first.
    pub(super) warnings: Vec<String>,
    /// What else a reader must know before any verdict.
    pub(super) headlines: Vec<String>,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) tiles: Vec<(&'static str, String)>,
    pub(super) guarantees: Vec<GuaranteeRow>,
    /// A line that names the guarantees without a row, if there are any.
    pub(super) others: Option<String>,
    pub(super) lax: Vec<LaxRow>,
    pub(super) thresholds: Vec<ThresholdRow>,
    pub(super) timings: Vec<(String, Vec<String>)>,
    pub(super) figures: Vec<Figure>,
    pub(super) violations: Vec<ViolationRow>,
    /// A sentence about all violations.
    pub(super) violations_sentence: String,
    pub(super) repeat: String,
}

/// A verdict as a symbol and words, so that it does not depend on colour.
#[derive(Clone, Debug)]
pub(super) struct Badge {
    pub(super) class: &'static str,
    pub(super) symbol: &'static str,
    pub(super) words: String,
}

pub(super) struct GuaranteeRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) verdict: Badge,
    pub(super) exercised: String,
    pub(super) violations: String,
    /// The promise and the evidence, if there is any.
    pub(super) sentences: Vec<String>,
}

/// A departure from the letter of a standard.
pub(super) struct LaxRow {
    pub(super) section: String,
    /// The rule, and how often the server departed from it.
    pub(super) sentence: String,
    pub(super) details: Vec<String>,
}

pub(super) struct ThresholdRow {
    pub(super) threshold: String,
    pub(super) observed: String,
    pub(super) verdict: Badge,
}

pub(super) struct ViolationRow {
    pub(super) title: String,
    pub(super) place: String,
    pub(super) detail: String,
    pub(super) story: Option<String>,
}

/// Columns of the table of times.
pub(super) const QUANTILES: [(&str, Aggregate); 8] = [
    ("min", Aggregate::Min),
    ("avg", Aggregate::Avg),
    ("p50", Aggregate::Med),
    ("p90", Aggregate::Percentile(90.0)),
    ("p95", Aggregate::Percentile(95.0)),
    ("p99", Aggregate::Percentile(99.0)),
    ("p99.9", Aggregate::Percentile(99.9)),
    ("max", Aggregate::Max),
];

impl RunPage {
    pub(super) fn new(summary: &Summary) -> Self {
        let nothing = Metrics::default();
        let metrics = summary.metrics.as_ref().unwrap_or(&nothing);
        let asked = summary.guarantees.iter().filter(|entry| entry.is_asked_for());
        let all: u64 = summary.guarantees.iter().map(|entry| entry.violations).sum();
        Self {
            title: format!("{} of {}", summary.command, summary.scenario),
            verdict: Badge {
                words: count_outcome(summary, summary.guarantees.len(), "violated"),
                ..Badge::new(summary.verdict)
            },
            subtitle: subtitle(summary),
            warnings: warnings(summary),
            headlines: summary.headlines.clone(),
            facts: facts(summary),
            tiles: tiles(summary, metrics),
            guarantees: asked.map(GuaranteeRow::new).collect(),
            others: not_asked_for(&summary.guarantees),
            lax: summary.lax.iter().map(LaxRow::new).collect(),
            thresholds: summary.thresholds.iter().map(ThresholdRow::new).collect(),
            timings: timings(metrics),
            figures: Figure::all(metrics, summary.period_seconds),
            violations: summary.violations.iter().map(ViolationRow::new).collect(),
            violations_sentence: match (all, summary.violations.len() as u64) {
                (0, _) => "None.".to_owned(),
                (1, 1) => String::new(),
                (all, kept) if kept < all => format!("The first {} of {}.", grouped(kept), grouped(all)),
                (all, _) => format!("{} in all.", grouped(all)),
            },
            repeat: summary.repeat.clone(),
        }
    }

    /// Whether some figures have no chart.
    pub(super) fn lacks_figures(&self) -> bool {
        !self.figures.iter().all(Figure::is_drawn)
    }

    /// Headings of the table of times.
    pub(super) fn quantiles(&self) -> [&'static str; 8] {
        QUANTILES.map(|(name, _)| name)
    }
}

impl Badge {
    pub(super) fn new(verdict: Verdict) -> Self {
        let (class, symbol) = match verdict {
            Verdict::Held => ("held", "✓"),
            Verdict::NotExercised => ("none", "–"),
            Verdict::Undecided => ("open", "?"),
            Verdict::Violated => ("broken", "✗"),
        };
        Self { class, symbol, words: verdict.name().to_lowercase() }
    }
}

fn subtitle(summary: &Summary) -> String {
    let server = summary.url.as_deref().unwrap_or("the reference server");
    let time = summary.virtual_seconds.unwrap_or(summary.wall_seconds);
    format!(
        "{server}, {}, {}, a push every {}",
        counted(u64::from(summary.clients), "client"),
        span(time),
        span(summary.period_seconds)
    )
}

/// A number of seconds for people, such as `5m`.
fn span(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if seconds >= 60.0 => format_span(Duration::from_secs(span.as_secs())),
        _ => format!("{seconds} s"),
    }
}

fn warnings(summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    let crossed = summary.thresholds.iter().filter(|judgement| !judgement.held).count();
    if crossed > 0 {
        warnings.push(format!("{crossed} of {} thresholds crossed.", summary.thresholds.len()));
    }
    if summary.insecure {
        warnings.push(INSECURE.to_owned());
    }
    if summary.interrupted {
        warnings.push("The run was interrupted: this report covers the time until then.".to_owned());
    }
    if let Some(shard) = &summary.shard
        && shard.numbers.len() < shard.of as usize
    {
        let numbers: Vec<_> = shard.numbers.iter().map(u32::to_string).collect();
        warnings.push(format!("This is only a part of the load: {} of {}.", numbers.join(", "), shard.of));
    }
    warnings
}

fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let facts = [
        ("Server", Some(summary.url.clone().unwrap_or_else(|| "the reference server".to_owned()))),
        ("Arm", Some(summary.arm.to_string())),
        ("Clients", Some(grouped(u64::from(summary.clients)))),
        ("Plan", summary.plan.clone()),
        ("Push every", Some(span(summary.period_seconds))),
        ("Virtual time", summary.virtual_seconds.map(span)),
        ("Wall time", Some(span(summary.wall_seconds))),
        ("Seed", Some(summary.seed.to_string())),
        ("Digest", summary.digest.clone()),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn tiles(summary: &Summary, metrics: &Metrics) -> Vec<(&'static str, String)> {
    let figure =
        |metric: Metric, aggregate| Some(metric.unit(aggregate).format(metric.of(aggregate, metrics)?));
    let count = |number| Some(grouped(number));
    let tiles = [
        ("cycles", count(summary.cycles)),
        ("deliveries", count(summary.deliveries)),
        ("lost", count(metrics.counts.lost)),
        ("duplicates", count(metrics.counts.duplicates)),
        ("push latency, p99", figure(Metric::PushLatency, Aggregate::Percentile(99.0))),
        ("spread, p95", figure(Metric::Spread, Aggregate::Percentile(95.0))),
        ("server memory, max", figure(Metric::ServerMemory, Aggregate::Max)),
    ];
    tiles.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn timings(metrics: &Metrics) -> Vec<(String, Vec<String>)> {
    let row = |metric: Metric| {
        let timing = metric.timing(metrics).filter(|timing| timing.count() > 0)?;
        let figure = |(_, aggregate): (&str, Aggregate)| {
            metric.of(aggregate, metrics).map_or_else(|| "–".to_owned(), |millis| Unit::Millis.format(millis))
        };
        let cells = [grouped(timing.count())].into_iter().chain(QUANTILES.map(figure));
        Some((metric.name().replace('_', " "), cells.collect()))
    };
    [Metric::Connect, Metric::Echo, Metric::PushLatency, Metric::Spread, Metric::OwnDelay]
        .into_iter()
        .filter_map(row)
        .collect()
}

impl GuaranteeRow {
    fn new(entry: &GuaranteeEntry) -> Self {
        Self {
            id: entry.id.clone(),
            name: entry.name.to_string(),
            verdict: Badge::new(entry.verdict),
            exercised: grouped(entry.exercised),
            violations: grouped(entry.violations),
            sentences: match entry.verdict {
                Verdict::Held | Verdict::NotExercised => entry.shown_evidence(),
                Verdict::Undecided | Verdict::Violated => {
                    let known = Guarantee::ALL.into_iter().find(|known| known.to_string() == entry.id);
                    let promised = known.map(|known| format!("Promised: {}", known.promise()));
                    promised.into_iter().chain(entry.shown_evidence()).collect()
                }
            },
        }
    }
}

impl LaxRow {
    pub(super) fn new(entry: &LaxEntry) -> Self {
        Self {
            section: entry.section.to_string(),
            sentence: entry.sentence(),
            details: entry.shown_details(),
        }
    }
}

impl ThresholdRow {
    fn new(judgement: &Judgement) -> Self {
        let verdict = if judgement.held { Verdict::Held } else { Verdict::Violated };
        let words = if judgement.held { "held" } else { "crossed" }.to_owned();
        Self {
            threshold: judgement.threshold.clone(),
            observed: judgement
                .observed
                .map_or("no data".to_owned(), |number| judgement.unit().format(number)),
            verdict: Badge { words, ..Badge::new(verdict) },
        }
    }
}

impl ViolationRow {
    fn new(entry: &ViolationEntry) -> Self {
        Self {
            title: format!("{} {}", entry.guarantee, entry.fault),
            place: format!("at {} s, {}", entry.at_seconds, subject(entry.client)),
            detail: entry.detail.clone(),
            story: entry.story.clone(),
        }
    }
}
