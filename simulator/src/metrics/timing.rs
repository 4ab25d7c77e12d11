//! How long something took, every time that it was done.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The longest time that is told apart from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Significant decimal digits of every time: a figure is off by a thousandth at most.
const DIGITS: u8 = 3;

/// A histogram of times in microseconds, from 1 µs to an hour, to a thousandth of each.
///
/// All of them have the same buckets, so that the sum of two is what one would have been that had recorded both.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "TimingEntry", try_from = "TimingEntry")]
pub struct Timing(Histogram<u64>);

impl Timing {
    /// Notes that it took so long. What takes longer than an hour counts as an hour.
    pub fn record(&mut self, span: Duration) {
        self.0.saturating_record(u64::try_from(span.as_micros()).unwrap_or(LONGEST));
    }

    /// Adds what the other one has recorded.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the same buckets on both sides");
    }

    /// How many times were recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time, in milliseconds, that this share (0 to 1) of all do not exceed; `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        self.known(|histogram| histogram.value_at_quantile(share) as f64)
    }

    /// The shortest, in milliseconds.
    pub fn min(&self) -> Option<f64> {
        self.known(|histogram| histogram.min() as f64)
    }

    /// The longest, in milliseconds.
    pub fn max(&self) -> Option<f64> {
        self.known(|histogram| histogram.max() as f64)
    }

    /// The average, in milliseconds.
    pub fn mean(&self) -> Option<f64> {
        self.known(Histogram::mean)
    }

    /// The standard deviation, in milliseconds.
    pub fn deviation(&self) -> Option<f64> {
        self.known(Histogram::stdev)
    }

    /// The counts in microseconds, to draw them.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// A figure in microseconds as milliseconds, if there is anything to take it of.
    fn known(&self, figure: impl FnOnce(&Histogram<u64>) -> f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| figure(&self.0) / 1000.0)
    }
}

/// A few figures in the place of thousands of buckets.
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

/// The same histogram with other counters, such as that of a [`Score`](crate::Score).
impl From<&Histogram<u64>> for Timing {
    fn from(histogram: &Histogram<u64>) -> Self {
        let mut timing = Self::default();
        for step in histogram.iter_recorded() {
            timing.0.saturating_record_n(step.value_iterated_to(), step.count_at_value());
        }
        timing
    }
}

/// A [`Timing`] in JSON. The figures are for readers; what counts is the histogram.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimingEntry {
    /// How many times were recorded.
    count: u64,
    /// The shortest.
    min_ms: Option<f64>,
    /// The average.
    avg_ms: Option<f64>,
    /// The median.
    p50_ms: Option<f64>,
    /// Nine in ten took no longer.
    p90_ms: Option<f64>,
    /// 95 in a hundred took no longer.
    p95_ms: Option<f64>,
    /// 99 in a hundred took no longer.
    p99_ms: Option<f64>,
    /// 999 in a thousand took no longer.
    p999_ms: Option<f64>,
    /// The longest.
    max_ms: Option<f64>,
    /// All of them in microseconds: HdrHistogram V2, compressed, in base64, as the tools of every language read it.
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
            .map_err(|error| format!("the histogram is no base64: {error}"))?;
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("the histogram is no HdrHistogram V2: {error}"))?;
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
    fn of_nothing_there_are_no_figures() {
        let empty = Timing::default();
        assert_eq!((empty.min(), empty.max(), empty.mean(), empty.quantile(0.5)), (None, None, None, None));
    }

    #[test]
    fn what_is_longer_than_an_hour_counts_as_an_hour() {
        let long = timing(&[LONGEST, LONGEST * 100, u64::MAX]);
        assert_eq!(long.count(), 3);
        // To a thousandth.
        assert!((3_600_000.0..3_604_000.0).contains(&long.max().unwrap()), "{:?}", long.max());
    }

    #[test]
    fn files_that_hold_another_histogram_are_refused() {
        let mut narrow = Histogram::<u64>::new_with_bounds(1, 1000, 2).unwrap();
        narrow.record(7).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&narrow, &mut bytes).unwrap();
        let good = TimingEntry::from(timing(&[5]));
        for (histogram, count, words) in [
            ("*".to_owned(), 1, "no base64"),
            (BASE64.encode(b"something else"), 1, "no HdrHistogram V2"),
            (BASE64.encode(&bytes), 1, "from 1 to 1000 with 2 digits"),
            (good.histogram.clone(), 2, "holds 1 times, not 2"),
        ] {
            let error = Timing::try_from(TimingEntry { histogram, count, ..good.clone() }).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_back_as_it_was_written(micros in prop::collection::vec(0..2 * LONGEST, 0..50)) {
            let timing = timing(&micros);
            let text = serde_json::to_string(&timing).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timing>(&text).unwrap(), timing);
        }

        #[test]
        fn the_parts_add_up_to_the_whole(
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
