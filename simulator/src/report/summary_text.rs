//! A report that was read from a file or merged, as text.

use std::fmt::{self, Display, Formatter};

use super::columns::{guarantee_columns, guarantee_head, labelled_line};
use super::entries::GuaranteeEntry;
use super::evidence::{count_outcome, not_asked_for};
use super::format::{INSECURE, counted, grouped};
use super::lax::LaxList;
use super::palette::Palette;
use super::paragraph::paragraph;
use super::summary::Summary;
use crate::metrics::{Judgement, Metric, Metrics, Unit};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;

/// The metrics of times that are shown.
const TIMINGS: [Metric; 5] =
    [Metric::Connect, Metric::Echo, Metric::PushLatency, Metric::Spread, Metric::OwnDelay];

/// A summary as text, in the form of the report that `run` prints. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct SummaryReport<'a> {
    /// The summary.
    pub summary: &'a Summary,
    /// Whether the text is coloured.
    pub palette: Palette,
}

impl Display for SummaryReport<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.header(f)?;
        let guarantees = &self.summary.guarantees;
        guarantees
            .iter()
            .filter(|entry| entry.is_asked_for())
            .try_for_each(|entry| self.guarantee(entry, f))?;
        not_asked_for(guarantees).iter().try_for_each(|line| paragraph(f, "  ", line))?;
        writeln!(f)?;
        if let Some(metrics) = &self.summary.metrics {
            measured(self.summary, metrics, f)?;
        }
        self.summary.thresholds.iter().try_for_each(|judgement| self.threshold(judgement, f))?;
        self.lax(f)?;
        self.verdict(f)
    }
}

impl SummaryReport<'_> {
    fn header(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary { command, scenario, clients, arm, seed, period_seconds, .. } = self.summary;
        let clients = counted(u64::from(*clients), "client");
        writeln!(
            f,
            "{command} of {scenario}: {clients}, a push every {period_seconds} s; {arm} arm, seed {seed}"
        )?;
        if let Some(shard) = &self.summary.shard {
            let numbers: Vec<_> = shard.numbers.iter().map(u32::to_string).collect();
            writeln!(f, "parts {} of {}", numbers.join(", "), shard.of)?;
        }
        if self.summary.insecure {
            writeln!(f, "{}", self.palette.paint(Verdict::Violated, INSECURE))?;
        }
        self.summary.headlines.iter().try_for_each(|headline| {
            writeln!(f)?;
            paragraph(f, "", headline)
        })?;
        let (exercised, violations) = ("exercised", "violations");
        writeln!(f, "\n{}{exercised:>15}{violations:>13}", guarantee_head())
    }

    fn guarantee(&self, entry: &GuaranteeEntry, f: &mut Formatter<'_>) -> fmt::Result {
        let columns = guarantee_columns(self.palette, &entry.id, &entry.name, entry.verdict);
        let [exercised, violations] = [entry.exercised, entry.violations].map(grouped);
        writeln!(f, "{columns}{exercised:>15}{violations:>13}")
    }

    fn threshold(&self, judgement: &Judgement, f: &mut Formatter<'_>) -> fmt::Result {
        let observed =
            judgement.observed.map_or("nothing".to_owned(), |observed| judgement.unit().format(observed));
        let (verdict, word) =
            if judgement.held { (Verdict::Held, "held") } else { (Verdict::Violated, "CROSSED") };
        let text =
            format!("{}, {observed} observed: {}", judgement.threshold, self.palette.paint(verdict, word));
        labelled_line(f, "threshold", &text)
    }

    fn lax(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary { lax: entries, command, .. } = self.summary;
        if entries.is_empty() {
            return Ok(());
        }
        write!(f, "\n{}", LaxList { entries, has_strict: command == "conform" })
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut sentence = count_outcome(self.summary, Guarantee::ALL.len(), "VIOLATED");
        if self.summary.interrupted {
            sentence.push_str("; INTERRUPTED before its end");
        }
        writeln!(f, "\n{}", self.palette.paint(self.summary.verdict, &sentence))
    }
}

fn measured(summary: &Summary, metrics: &Metrics, f: &mut Formatter<'_>) -> fmt::Result {
    for metric in TIMINGS {
        let timing = metric.timing(metrics).unwrap_or_default();
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
        let figure = |(name, share)| Some(format!("{name} {}", Unit::Millis.format(timing.quantile(share)?)));
        if let Some(figures) = quantiles.into_iter().map(figure).collect::<Option<Vec<_>>>() {
            labelled_line(f, &metric.name().replace('_', " "), &figures.join(", "))?;
        }
    }
    let counts = &metrics.counts;
    let cycles = counted(summary.cycles, "cycle");
    let [deliveries, lost, duplicates] = [counts.deliveries, counts.lost, counts.duplicates].map(grouped);
    labelled_line(
        f,
        "pushes",
        &format!("{cycles}, {deliveries} deliveries, {lost} lost, {duplicates} duplicates"),
    )?;
    if let Some(trend) = metrics.server_memory_trend() {
        let size = Unit::BytesPerHour.format(trend.per_hour);
        let error = Unit::BytesPerHour.format(trend.error);
        let flat = if trend.is_flat() { "flat: " } else { "" };
        labelled_line(f, "memory", &format!("{flat}{size} ± {error} over the second half"))?;
    }
    Ok(())
}
