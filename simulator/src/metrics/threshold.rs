//! Thresholds in the grammar of k6: `push_latency:p(99)<50ms`, `lost:count==0`.
//!
//! A threshold is a metric, a colon, an aggregate, a comparison and a number with its unit. Blanks may surround the
//! comparison. Times without a unit are milliseconds, as in k6.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::measurements::Metrics;
use super::metric::{Aggregate, Metric};
use super::scanner::Scanner;
use super::unit::Unit;

/// A bound on an aggregate of a metric. It displays, and parses, as in `push_latency:p(99)<50ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The metric.
    pub metric: Metric,
    /// The aggregate that makes one number of the metric.
    pub aggregate: Aggregate,
    /// The required relation between the number and the bound.
    pub comparison: Comparison,
    /// The bound, in the unit in which it was written.
    number: f64,
    /// That unit, and its value in [`Metric::unit`].
    suffix: (&'static str, f64),
}

/// The required relation between a number and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// At least.
    AtLeast,
    /// At most.
    AtMost,
    /// Less than.
    Less,
    /// More than.
    More,
    /// Not equal.
    Unequal,
}

/// The judgement of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The threshold as text.
    pub threshold: String,
    /// The measured number; `null` if there are no measurements for it.
    pub observed: Option<f64>,
    /// The unit of the number: `ms`, `B`, `B/h`, `%`, `/s`, or empty for a plain number.
    pub unit: Cow<'static, str>,
    /// Whether the number satisfies the threshold; false without a number.
    pub held: bool,
}

impl Threshold {
    /// The bound, in the unit of [`Metric::unit`].
    pub fn bound(&self) -> f64 {
        self.number * self.suffix.1
    }

    /// Judges the metrics by this threshold.
    ///
    /// Without measurements a count is 0, and every other figure is missing and fails its threshold. In k6 a missing
    /// figure is 0, but then a soak without a single push would have the best latency.
    pub fn evaluate(&self, metrics: &Metrics) -> Judgement {
        let observed = self.metric.of(self.aggregate, metrics);
        let held = observed.is_some_and(|observed| self.comparison.holds(observed, self.bound()));
        let unit = self.metric.unit(self.aggregate);
        Judgement { threshold: self.to_string(), observed, unit: unit.name().into(), held }
    }
}

impl Judgement {
    /// The unit of the number.
    pub fn unit(&self) -> Unit {
        Unit::named(&self.unit)
    }
}

impl Comparison {
    /// Longer ones first: a `<=` begins with a `<`.
    const ALL: [Self; 6] = [Self::AtMost, Self::AtLeast, Self::Equal, Self::Unequal, Self::Less, Self::More];

    /// The sign of the comparison.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::Less => "<",
            Self::More => ">",
            Self::Unequal => "!=",
        }
    }

    /// Whether the number satisfies the comparison with the bound.
    pub fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast => number >= bound,
            Self::AtMost => number <= bound,
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::More => number > bound,
            Self::Unequal => number != bound,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, aggregate, comparison, number, suffix } = self;
        write!(f, "{metric}:{aggregate}{}{number}{}", comparison.name(), suffix.0)
    }
}

impl FromStr for Threshold {
    type Err = String;

    /// # Errors
    ///
    /// A sentence that names the column, the mistake, and what is allowed.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut scanner = Scanner::new(text);
        let (metric, aggregate, comparison, number) = scanner.bound(&Comparison::ALL, Comparison::name)?;
        let suffix = scanner.suffix(metric.unit(aggregate))?;
        scanner.finish()?;
        Ok(Self { metric, aggregate, comparison, number, suffix })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Sample;

    fn judged(text: &str, metrics: &Metrics) -> (Option<f64>, bool) {
        let judgement = text.parse::<Threshold>().unwrap().evaluate(metrics);
        (judgement.observed, judgement.held)
    }

    fn hundred_pushes() -> Metrics {
        let mut metrics = Metrics { seconds: 10.0, ..Metrics::default() };
        for millis in 1..=100 {
            metrics.record_push(1 + millis % 2, Duration::ZERO, Duration::from_millis(millis));
        }
        metrics
    }

    #[test]
    fn bounds_of_times_without_a_unit_are_milliseconds() {
        let metrics = hundred_pushes();
        for (text, held) in [
            // 98 ms, to a thousandth.
            ("push_latency:p(98)<98.1", true),
            ("push_latency:p(98)<98", false),
            ("push_latency:p(98) >= 98ms", true),
            ("push_latency:p(98)<0.1s", true),
            ("push_latency:p(98)<98100us", true),
            ("push_latency:max<1m", true),
            ("push_latency:min<=1", true),
            ("push_latency:med > 50.1", false),
            ("push_latency:avg<51", true),
            ("push_latency:count==100", true),
            ("deliveries:rate==10/s", true),
            ("deliveries:rate!=10", false),
            ("lost:count==0", true),
            // From 1 to 99 and from 2 to 100.
            ("spread:max>=98ms", true),
        ] {
            assert_eq!(judged(text, &metrics).1, held, "{text}: {:?}", judged(text, &metrics).0);
        }
    }

    #[test]
    fn without_measurements_counts_are_0_and_other_thresholds_fail() {
        let nothing = Metrics { seconds: 1.0, ..Metrics::default() };
        assert_eq!(judged("lost:count==0", &nothing), (Some(0.0), true));
        assert_eq!(judged("deliveries:rate>5", &nothing), (Some(0.0), false));
        for text in
            ["push_latency:p(99)<50ms", "server_memory:max<1GiB", "server_memory:growth<1", "spread:avg>=0"]
        {
            assert_eq!(judged(text, &nothing), (None, false), "{text}");
        }
    }

    #[test]
    fn memory_is_judged_sample_by_sample() {
        let mut metrics = Metrics::default();
        for second in 0..40_u64 {
            metrics.timeline.push(Sample {
                at_millis: second * 1000,
                connected: 10,
                server_memory_bytes: Some((100 << 20) + second * 1000),
                server_cpu_seconds: Some(second as f64 / 2.0),
                ..Sample::default()
            });
        }
        assert_eq!(judged("server_memory:min==100MiB", &metrics), (Some(104_857_600.0), true));
        assert_eq!(judged("server_memory:p(50)<100.1MiB", &metrics), (Some(104_857_600.0 + 19_000.0), true));
        assert_eq!(judged("server_cpu:max<=50%", &metrics), (Some(50.0), true));
        // 1,000 bytes a second are 3.4 MiB an hour.
        assert!(judged("server_memory:growth<3.5MiB/h", &metrics).1);
        assert!(!judged("server_memory:growth==0", &metrics).1);
    }

    #[test]
    fn the_error_of_a_threshold_names_the_column_and_what_is_allowed() {
        for (text, column, words) in [
            ("", 1, "there is no metric \"\"; expected one of closes, connect,"),
            ("latency:p(99)<5", 1, "push_latency, reconnects"),
            ("push_latency<5", 13, "such as push_latency:p(99)"),
            ("lost<5", 5, "such as lost:count"),
            ("lost:p(99)<5", 6, "lost has no aggregate \"p(99)\"; expected one of count, rate"),
            ("echo:p(101)<5", 6, "p(N), rate (N from 0 to 100)"),
            ("echo:p()<5", 6, "has no aggregate \"p()\""),
            ("echo:growth<5", 6, "expected one of avg, count, max, med, min, p(N), rate"),
            ("echo:p(99)=5", 11, "expected one of <= >= == != < >"),
            ("echo:p(99)<", 12, "expected a number, such as 50"),
            ("echo:p(99)<ms", 12, "expected a number"),
            ("echo:p(99)<1.2.3", 12, "expected a number"),
            ("echo:p(99)<50kg", 14, "there is no unit \"kg\" here; expected one of ms, us, s, m"),
            ("lost:count==0ms", 14, "expected none"),
            ("  echo:p(99) < 50 ms", 19, "expected the end"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.starts_with(&format!("column {column}: ")), "{text}: {error}");
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    fn threshold() -> impl Strategy<Value = Threshold> {
        let parts = (
            prop::sample::select(&Metric::ALL),
            any::<prop::sample::Index>(),
            0..=1000_u32,
            prop::sample::select(&Comparison::ALL),
            0..10_000_000_u32,
            any::<prop::sample::Index>(),
        );
        parts.prop_map(|(metric, aggregate, tenths, comparison, number, suffix)| {
            let aggregates = metric.aggregates();
            let aggregate = match aggregates[aggregate.index(aggregates.len())] {
                "p(N)" => Aggregate::Percentile(f64::from(tenths) / 10.0),
                name => Aggregate::named(name).unwrap(),
            };
            let suffixes = metric.unit(aggregate).suffixes();
            let suffix = suffixes[suffix.index(suffixes.len())];
            Threshold { metric, aggregate, comparison, number: f64::from(number) / 100.0, suffix }
        })
    }

    proptest! {
        #[test]
        fn a_written_threshold_reads_back_equal(threshold in threshold()) {
            let text = threshold.to_string();
            prop_assert_eq!(text.parse(), Ok(threshold));
            let spaced = text.replace(threshold.comparison.name(), &format!(" {} ", threshold.comparison.name()));
            prop_assert_eq!(spaced.parse(), Ok(threshold));
        }

        #[test]
        fn no_text_causes_a_panic(text in "\\PC{0,30}|[a-z_]{4,12}:(p\\([0-9.é]{0,5}\\)|count)[<>=!é]{0,2}[0-9.+-]{0,4}[a-zµ]{0,2}") {
            let _answer = text.parse::<Threshold>();
        }
    }
}
