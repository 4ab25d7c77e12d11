//! A histogram of measured times.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The top of the histogram, one hour in microseconds. Longer times count as this one.
const LONGEST: u64 = 3_600_000_000;

/// Significant decimal digits of every time: the error is at most one thousandth.
const DIGITS: u8 = 3;

/// A histogram of times from 1 µs to one hour, with an error of at most one thousandth.
///
/// All histograms have the same buckets, so that a merged one equals one that recorded all times itself.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "TimingEntry", try_from = "TimingEntry")]
pub struct Timing(Histogram<u64>);

impl Timing {
    /// Records a time. Times over one hour count as one hour.
    pub fn record(&mut self, span: Duration) {
        self.0.saturating_record(u64::try_from(span.as_micros()).unwrap_or(LONGEST));
    }

    /// Adds the times that `other` has recorded.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the same buckets on both sides");
    }

    /// The number of recorded times.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time, in milliseconds, that this share (0 to 1) of all times does not exceed; `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        self.known(|histogram| histogram.value_at_quantile(share) as f64)
    }

    /// The shortest time, in milliseconds; `None` if there are none.
    pub fn min(&self) -> Option<f64> {
        self.known(|histogram| histogram.min() as f64)
    }

    /// The longest time, in milliseconds; `None` if there are none.
    pub fn max(&self) -> Option<f64> {
        self.known(|histogram| histogram.max() as f64)
    }

    /// The average, in milliseconds; `None` if there are no times.
    pub fn mean(&self) -> Option<f64> {
        self.known(Histogram::mean)
    }

    /// The standard deviation, in milliseconds; `None` if there are no times.
    pub fn deviation(&self) -> Option<f64> {
        self.known(Histogram::stdev)
    }

    /// The histogram itself, in microseconds, for charts.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// A figure in microseconds as milliseconds; `None` if there are no times.
    fn known(&self, figure: impl FnOnce(&Histogram<u64>) -> f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| figure(&self.0) / 1000.0)
    }
}

/// Shows a few figures instead of thousands of buckets.
impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (self.quantile(0.5), self.quantile(0.99));
        write!(f, "Timing({} times, p50 {p50:?} ms, p99 {p99:?} ms)", self.count())
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("valid bounds and precision"))
    }
}

/// Converts a histogram with other buckets, such as that of a [`Score`](crate::Score).
impl From<&Histogram<u64>> for Timing {
    fn from(histogram: &Histogram<u64>) -> Self {
        let mut timing = Self::default();
        for step in histogram.iter_recorded() {
            timing.0.saturating_record_n(step.value_iterated_to(), step.count_at_value());
        }
        timing
    }
}

/// A [`Timing`] in JSON. The figures are for readers; only the histogram is read back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimingEntry {
    /// The number of recorded times.
    count: u64,
    /// The shortest time.
    min_ms: Option<f64>,
    /// The average.
    avg_ms: Option<f64>,
    /// The median.
    p50_ms: Option<f64>,
    /// 90 % of the times are not longer.
    p90_ms: Option<f64>,
    /// 95 % of the times are not longer.
    p95_ms: Option<f64>,
    /// 99 % of the times are not longer.
    p99_ms: Option<f64>,
    /// 99.9 % of the times are not longer.
    p999_ms: Option<f64>,
    /// The longest time.
    max_ms: Option<f64>,
    /// All times in microseconds: compressed HdrHistogram V2 in base64, which libraries of every language read.
    histogram: String,
}

impl From<Timing> for TimingEntry {
    fn from(timing: Timing) -> Self {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&timing.0, &mut bytes)
            .expect("a vector takes every byte, and the counts fit 63 bits");
        let rounded = |millis: f64| (millis * 1000.0).round() / 1000.0;
        let quantile = |share| timing.quantile(share).map(rounded);
        Self {
            count: timing.count(),
            min_ms: timing.min().map(rounded),
            avg_ms: timing.mean().map(rounded),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: timing.max().map(rounded),
            histogram: BASE64.encode(&bytes),
        }
    }
}

impl TryFrom<TimingEntry> for Timing {
    type Error = String;

    fn try_from(entry: TimingEntry) -> Result<Self, String> {
        let bytes = BASE64
            .decode(entry.histogram.as_bytes())
            .map_err(|error| format!("the histogram is not base64: {error}"))?;
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("the histogram is not HdrHistogram V2: {error}"))?;
        if (histogram.low(), histogram.high(), histogram.sigfig()) != (1, LONGEST, DIGITS) {
            let (low, high, digits) = (histogram.low(), histogram.high(), histogram.sigfig());
            return Err(format!(
                "the histogram goes from {low} to {high} with {digits} digits; expected 1 to {LONGEST} with {DIGITS}"
            ));
        }
        if histogram.len() != entry.count {
            return Err(format!("the histogram holds {} times, not {}", histogram.len(), entry.count));
        }
        Ok(Self(histogram))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timing(micros: &[u64]) -> Timing {
        let mut timing = Timing::default();
        micros.iter().for_each(|micros| timing.record(Duration::from_micros(*micros)));
        timing
    }

    #[test]
    fn a_timing_without_times_has_no_figures() {
        let empty = Timing::default();
        assert_eq!((empty.min(), empty.max(), empty.mean(), empty.quantile(0.5)), (None, None, None, None));
    }

    #[test]
    fn a_time_over_one_hour_counts_as_one_hour() {
        let long = timing(&[LONGEST, LONGEST * 100, u64::MAX]);
        assert_eq!(long.count(), 3);
        // To a thousandth.
        assert!((3_600_000.0..3_604_000.0).contains(&long.max().unwrap()), "{:?}", long.max());
    }

    #[test]
    fn a_file_with_another_histogram_is_refused() {
        let mut narrow = Histogram::<u64>::new_with_bounds(1, 1000, 2).unwrap();
        narrow.record(7).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&narrow, &mut bytes).unwrap();
        let good = TimingEntry::from(timing(&[5]));
        for (histogram, count, words) in [
            ("*".to_owned(), 1, "not base64"),
            (BASE64.encode(b"something else"), 1, "not HdrHistogram V2"),
            (BASE64.encode(&bytes), 1, "from 1 to 1000 with 2 digits"),
            (good.histogram.clone(), 2, "holds 1 times, not 2"),
        ] {
            let error = Timing::try_from(TimingEntry { histogram, count, ..good.clone() }).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_written_timing_reads_back_equal(micros in prop::collection::vec(0..2 * LONGEST, 0..50)) {
            let timing = timing(&micros);
            let text = serde_json::to_string(&timing).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timing>(&text).unwrap(), timing);
        }

        #[test]
        fn merged_parts_equal_the_whole(
            micros in prop::collection::vec(0..2 * LONGEST, 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        ) {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(micros.len() + 1)).collect();
            ends.extend([0, micros.len()]);
            ends.sort_unstable();
            let mut sum = Timing::default();
            ends.windows(2).for_each(|part| sum.merge(&timing(&micros[part[0]..part[1]])));
            prop_assert_eq!(sum, timing(&micros));
        }
    }
}
