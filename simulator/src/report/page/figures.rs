//! The figures of a run over time and the distribution of its latencies: each with a sentence and a chart, or with
//! the reason why there is no chart.

use std::time::Duration;

use super::axis::Axis;
use super::chart::{Chart, Mark};
use crate::metrics::{Aggregate, Metric, Metrics, PushEntry, Sample, Timing, Unit};
use crate::report::format::grouped;
use crate::units::format_span;

/// The number of columns of a histogram.
const COLUMNS: u32 = 60;

/// The most strokes in a chart of pushes.
const STROKES: usize = 320;

/// One figure of the page.
pub(super) struct Figure {
    pub(super) name: &'static str,
    /// What the chart shows, or why there is none.
    pub(super) sentence: String,
    /// The chart as an `svg` element; empty if there is none.
    pub(super) svg: String,
    /// The CSS classes of its lines, and their meaning.
    pub(super) legend: Vec<(&'static str, &'static str)>,
}

impl Figure {
    fn absent(name: &'static str, sentence: &str) -> Self {
        Self { name, sentence: sentence.to_owned(), svg: String::new(), legend: Vec::new() }
    }

    fn new(name: &'static str, sentence: String, x: Axis, y: Axis, marks: Vec<Mark>) -> Self {
        let svg = Chart { name, sentence: &sentence, x, y, marks }.draw();
        Self { name, sentence, svg, legend: Vec::new() }
    }

    fn with_legend(self, legend: &[(&'static str, &'static str)]) -> Self {
        Self { legend: legend.to_vec(), ..self }
    }

    /// Whether there is a chart.
    pub(super) fn is_drawn(&self) -> bool {
        !self.svg.is_empty()
    }

    /// All figures, in the order of the page. `period` is the time between two pushes, in seconds.
    pub(super) fn all(metrics: &Metrics, period: f64) -> Vec<Self> {
        vec![
            histogram("Push latency", &metrics.push_latency),
            deliveries(metrics, period),
            connections(metrics),
            pushes(metrics.pushes.entries()),
            memory(metrics),
            processor(metrics),
        ]
    }
}

/// The distribution of a time.
fn histogram(name: &'static str, timing: &Timing) -> Figure {
    let figures = [timing.quantile(0.5), timing.quantile(0.99), timing.min(), timing.max()];
    let [Some(p50), Some(p99), Some(min), Some(max)] = figures else {
        return Figure::absent(name, "No push reached a client.");
    };
    let x = Axis::log_millis(min.max(0.001), max.max(0.002));
    let mut bars: Vec<_> = x.parts(COLUMNS).into_iter().map(|(from, to)| (from, to, 0.0)).collect();
    for step in timing.histogram().iter_recorded() {
        let millis = step.value_iterated_to() as f64 / 1000.0;
        let place = bars.partition_point(|(_, to, _)| *to < millis).min(bars.len() - 1);
        bars[place].2 += 100.0 * step.count_at_value() as f64 / timing.count() as f64;
    }
    let y = Axis::from_zero(top(&bars), Unit::Percent);
    let millis = |value| Unit::Millis.format(value);
    let sentence = format!(
        "From the due instant until a client had the push, {} times: half within {}, 99 of 100 within {}, at most {}.",
        grouped(timing.count()),
        millis(p50),
        millis(p99),
        millis(max),
    );
    let rules =
        [(p50, "p50"), (p99, "p99")].map(|(at, name)| Mark::Rule(at, format!("{name} {}", millis(at))));
    Figure::new(name, sentence, x, y, [Mark::Bars(bars)].into_iter().chain(rules).collect())
}

/// The reason why there are no figures over time.
const NO_TIMELINE: &str = "No samples were taken over time; only a soak takes them.";

/// Pushes come in bursts. Single samples would show a comb, and other averages a pattern that does not exist. So
/// the chart shows averages over whole periods, which begin and end between two pushes.
fn deliveries(metrics: &Metrics, period: f64) -> Figure {
    let name = "Deliveries";
    let samples = metrics.timeline.samples();
    let Some(end) = samples.last().map(Sample::seconds).filter(|end| *end > 0.0 && period > 0.0) else {
        return Figure::absent(name, NO_TIMELINE);
    };
    let width = (end / period / f64::from(COLUMNS)).ceil() * period;
    let first_due = metrics.pushes.entries().first().map_or(0.0, |push| push.due_micros as f64 / 1e6);
    // Columns begin half a period before the first push, or whole periods earlier.
    let phase = (first_due + period / 2.0) % period;
    let start = if phase > first_due { phase - period } else { phase };
    let until = |at: f64| {
        let known = samples.partition_point(|sample| sample.seconds() <= at);
        known.checked_sub(1).map_or(0, |index| samples[index].deliveries)
    };
    let rate = |index: u32| {
        let from = start + width * f64::from(index);
        let count = until(from + width).saturating_sub(until(from));
        (from.max(0.0), (from + width).min(end), count as f64 / width)
    };
    // A column that the end cuts off lacks some of its pushes.
    let whole = (((end + period / 2.0 - start) / width) as u32).max(1);
    let rates: Vec<_> = (0..whole).map(rate).collect();
    let all = metrics.counts.deliveries;
    let sentence = format!(
        "Pushes that reached a client: {} in all, {:.0} a second; a column is the average over {}.",
        grouped(all),
        all as f64 / metrics.seconds.max(1.0),
        format_span(Duration::from_secs_f64(width)),
    );
    let (x, y) = (Axis::seconds(end), Axis::from_zero(top(&rates), Unit::PerSecond));
    Figure::new(name, sentence, x, y, vec![Mark::Bars(rates)])
}

fn connections(metrics: &Metrics) -> Figure {
    let name = "Connections";
    let line = |count: fn(&Sample) -> u64| -> Vec<(f64, f64)> {
        let point = |sample: &Sample| (sample.seconds(), count(sample) as f64);
        metrics.timeline.samples().iter().map(point).collect()
    };
    let (connected, subscribed) = (line(|sample| sample.connected), line(|sample| sample.subscribed));
    let (Some(last), Some(most)) = (connected.last(), most(&connected)) else {
        return Figure::absent(name, NO_TIMELINE);
    };
    let counts = &metrics.counts;
    let sentence = format!(
        "{} at once at most; {} were made, {} of them by clients that had been connected before, and {} ended.",
        grouped(most as u64),
        grouped(counts.connects),
        grouped(counts.reconnects),
        grouped(counts.closes),
    );
    let (x, y) = (Axis::seconds(last.0), Axis::from_zero(most, Unit::Number));
    let marks = vec![Mark::Line("one", connected.clone()), Mark::Line("two", subscribed)];
    Figure::new(name, sentence, x, y, marks).with_legend(&[("one", "connected"), ("two", "subscribed")])
}

fn pushes(entries: &[PushEntry]) -> Figure {
    let name = "Spread of each push";
    let Some(last) = entries.last() else {
        return Figure::absent(name, "Single pushes were not recorded; only a soak records them.");
    };
    let millis = |micros: u64| micros as f64 / 1000.0;
    let stroke = |group: &[PushEntry]| {
        let first = group.iter().map(|entry| entry.first_micros).min().unwrap_or_default();
        let last = group.iter().map(|entry| entry.last_micros).max().unwrap_or_default();
        (group[0].due_micros as f64 / 1e6, millis(first), millis(last))
    };
    let strokes: Vec<_> = entries.chunks(entries.len().div_ceil(STROKES)).map(stroke).collect();
    let widest = entries.iter().map(PushEntry::spread).max().unwrap_or_default();
    let sentence = format!(
        "{} pushes: each stroke goes from the first client that had the push to the last, in time since the due instant. The widest spread \
         is {}.",
        grouped(entries.len() as u64),
        Unit::Millis.format(widest.as_secs_f64() * 1000.0),
    );
    let (x, y) = (Axis::seconds(last.due_micros as f64 / 1e6), Axis::from_zero(top(&strokes), Unit::Millis));
    Figure::new(name, sentence, x, y, vec![Mark::Ranges(strokes)])
}

/// The reason why there are no figures of the server's process.
const NO_PROCESS: &str =
    "The server's process was not measured; a soak measures it if it runs on the same machine.";

fn memory(metrics: &Metrics) -> Figure {
    let name = "Memory of the server";
    let points = metrics.timeline.server_memory();
    let (Some(last), Some(most)) = (points.last(), most(&points)) else {
        return Figure::absent(name, NO_PROCESS);
    };
    let trend = metrics.server_memory_trend().map_or_else(
        || "There are too few samples to decide whether it grows.".to_owned(),
        |trend| {
            let [slope, error] = [trend.per_hour, trend.error].map(|bytes| Unit::BytesPerHour.format(bytes));
            let meaning =
                if trend.is_flat() { "does not differ significantly from zero" } else { "differs from zero" };
            format!(
                "Its slope over the second half is {slope}, with a standard error of {error}, and {meaning}."
            )
        },
    );
    let sentence = format!("Resident, {} at most. {trend}", Unit::Bytes.format(most));
    let (x, y) = (Axis::seconds(last.0), Axis::from_zero(most, Unit::Bytes));
    Figure::new(name, sentence, x, y, vec![Mark::Line("one", points)])
}

fn processor(metrics: &Metrics) -> Figure {
    let name = "Processor time";
    let (server, own) = (metrics.timeline.server_cpu(), metrics.timeline.own_cpu());
    let Some(end) =
        [&server, &own].into_iter().filter_map(|line| line.last()).map(|point| point.0).reduce(f64::max)
    else {
        return Figure::absent(name, NO_PROCESS);
    };
    let average =
        |metric: Metric| metric.of(Aggregate::Avg, metrics).map(|share| Unit::Percent.format(share));
    let processes = [("the server", Metric::ServerCpu), ("the load generator", Metric::OwnCpu)];
    let parts: Vec<_> = processes
        .into_iter()
        .filter_map(|(name, metric)| Some(format!("{name} {}", average(metric)?)))
        .collect();
    let sentence = format!("Of one core, on average: {}.", parts.join(", "));
    let top = [&server, &own].into_iter().filter_map(|line| most(line)).fold(1.0, f64::max);
    let marks = vec![Mark::Line("two", own), Mark::Line("one", server)];
    Figure::new(name, sentence, Axis::seconds(end), Axis::from_zero(top, Unit::Percent), marks)
        .with_legend(&[("one", "server"), ("two", "load generator")])
}

fn most(points: &[(f64, f64)]) -> Option<f64> {
    points.iter().map(|point| point.1).reduce(f64::max)
}

/// The largest of the third numbers.
fn top(marks: &[(f64, f64, f64)]) -> f64 {
    marks.iter().map(|mark| mark.2).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute with a push of 100 deliveries every 5 s, the first one `first` seconds after the start.
    fn metrics(first: u64) -> Metrics {
        let mut metrics = Metrics { seconds: 60.0, ..Metrics::default() };
        for second in 0..=60_u64 {
            let pushes = if second < first { 0 } else { (second - first) / 5 + 1 };
            metrics.timeline.push(Sample {
                at_millis: second * 1000,
                deliveries: pushes * 100,
                ..Sample::default()
            });
        }
        for cycle in 0..11 {
            metrics.record_push(cycle, Duration::from_secs(first + 5 * cycle), Duration::from_millis(1));
        }
        metrics
    }

    #[test]
    fn pushes_at_equal_distances_make_columns_of_equal_height() {
        for first in 0..5 {
            let svg = deliveries(&metrics(first), 5.0).svg;
            let heights: Vec<_> =
                svg.split(" height=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(
                heights.len() >= 11 && heights.windows(2).all(|pair| pair[0] == pair[1]),
                "{first}: {svg}"
            );
        }
    }
}
