//! How much a figure varies by chance.

use serde::{Deserialize, Serialize};

use crate::metrics::trend::{NORMAL, student};
use crate::metrics::{Aggregate, Metric, Metrics, Timing};

/// How the noise of a figure was estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseSource {
    /// From repeated runs of at least one side.
    Runs,
    /// From the samples within one run of each side. Differences between runs are not included.
    Samples,
    /// The noise is unknown.
    Unknown,
}

/// The difference between two figures that chance does not exceed in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Noise {
    /// In the unit of the figure; 0 if unknown.
    pub(super) size: f64,
    pub(super) source: NoiseSource,
}

impl Noise {
    /// Estimates the noise from the figure in each run of either side.
    ///
    /// Both sides repeated: t √(s²/n + s'²/n') with Welch's degrees of freedom (B. L. Welch, Biometrika 34, 1947).
    /// One side repeated: t s √(1/n + 1), on the assumption that the other side varies as much.
    pub(super) fn between_runs(base: &[f64], new: &[f64]) -> Option<Self> {
        let (one, other) = (Spread::of(base), Spread::of(new));
        let (error, freedom) = match (one, other) {
            (Some(one), Some(other)) => {
                let (a, b) = (one.variance / one.count, other.variance / other.count);
                let parts = a * a / (one.count - 1.0) + b * b / (other.count - 1.0);
                let freedom = if parts > 0.0 { (a + b).powi(2) / parts } else { f64::INFINITY };
                ((a + b).sqrt(), freedom)
            }
            (Some(only), None) | (None, Some(only)) => {
                ((only.variance * (1.0 / only.count + 1.0)).sqrt(), only.count - 1.0)
            }
            (None, None) => return None,
        };
        Some(Self { size: student(freedom) * error, source: NoiseSource::Runs })
    }

    /// Estimates the noise from the samples of one run of each side.
    pub(super) fn within_runs(metric: Metric, aggregate: Aggregate, base: &Metrics, new: &Metrics) -> Self {
        let errors = [base, new].map(|metrics| own_error(metric, aggregate, metrics));
        match errors {
            [Some(one), Some(other)] => Self { size: one.hypot(other), source: NoiseSource::Samples },
            _ => Self { size: 0.0, source: NoiseSource::Unknown },
        }
    }
}

/// How much a figure varies from run to run.
struct Spread {
    count: f64,
    variance: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (values.len() > 1).then(|| Self { count, variance: squares / (count - 1.0) })
    }
}

/// Half of the interval that contains the true figure in 95 of 100 cases, if the samples are independent.
///
/// A quantile lies between two order statistics, for any distribution ([`quantile_error`]). An average has the
/// error s/√n. For counts, extremes, and metrics sampled over time, the error is unknown.
fn own_error(metric: Metric, aggregate: Aggregate, metrics: &Metrics) -> Option<f64> {
    let timing = metric.timing(metrics)?;
    match aggregate {
        Aggregate::Avg => Some(NORMAL * timing.deviation()? / (timing.count() as f64).sqrt()),
        Aggregate::Med => quantile_error(&timing, 0.5),
        Aggregate::Percentile(percent) => quantile_error(&timing, percent / 100.0),
        _ => None,
    }
}

/// The error of a quantile: of n samples, those with the ranks np ± 1.96 √(np(1 − p)) enclose the true quantile in
/// 95 of 100 cases (W. J. Conover, Practical Nonparametric Statistics, 3rd ed. 1999, section 3.2). `None` if there
/// are too few samples for such ranks.
fn quantile_error(timing: &Timing, share: f64) -> Option<f64> {
    let count = timing.count() as f64;
    let (rank, width) = (count * share, NORMAL * (count * share * (1.0 - share)).sqrt());
    let (low, high) = ((rank - width).floor(), (rank + width).ceil());
    if low < 1.0 || high > count {
        return None;
    }
    let value = timing.quantile(share)?;
    Some((value - timing.quantile(low / count)?).max(timing.quantile(high / count)? - value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rng::Rng;

    /// A thousand latencies between 1 and 2 ms.
    fn sample(rng: &mut Rng) -> Metrics {
        let mut metrics = Metrics { seconds: 1.0, ..Metrics::default() };
        for _ in 0..1000 {
            metrics.record_push(1, Duration::ZERO, Duration::from_micros(1000 + rng.below(1000)));
        }
        metrics
    }

    #[test]
    fn the_interval_of_a_quantile_contains_the_true_one_in_95_of_100_cases() {
        let mut rng = Rng::new(1);
        let held = (0..400).filter(|_| {
            let metrics = sample(&mut rng);
            let error = quantile_error(&metrics.push_latency, 0.9).unwrap();
            (metrics.push_latency.quantile(0.9).unwrap() - 1.9).abs() <= error
        });
        let held = held.count();
        // 95 % of 400 are 380. The count is a little higher, because the wider half is used on both sides.
        assert!((370..=400).contains(&held), "{held} of 400");
    }

    #[test]
    fn the_error_of_a_quantile_of_few_samples_is_unknown() {
        let mut metrics = Metrics::default();
        (1..=100).for_each(|millis| metrics.echo.record(Duration::from_millis(millis)));
        assert!(quantile_error(&metrics.echo, 0.5).is_some());
        // Rank 99 + 1.96 × √0.99 is above 100.
        assert_eq!(quantile_error(&metrics.echo, 0.99), None);
        assert_eq!(quantile_error(&Timing::default(), 0.5), None);
    }

    #[test]
    fn the_noise_of_two_repeated_sides_follows_welch() {
        // s² 2.5 and 10, so that √(2.5/5 + 10/5) = 1.5811; 2.5² / (0.5²/4 + 2²/4) = 5.882 degrees of freedom; t 2.459.
        let noise = Noise::between_runs(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 4.0, 6.0, 8.0, 10.0]).unwrap();
        assert!((noise.size - 2.459 * 1.5811).abs() < 0.02, "{noise:?}");
    }

    #[test]
    fn one_repeated_side_determines_the_noise_of_both() {
        // s² 1, so that √(1/3 + 1) = 1.1547; t(2) 4.303.
        let noise = Noise::between_runs(&[1.0, 2.0, 3.0], &[2.0]).unwrap();
        assert!((noise.size - 4.303 * 1.1547).abs() < 0.01, "{noise:?}");
        assert_eq!(Noise::between_runs(&[2.0], &[1.0, 2.0, 3.0]).unwrap(), noise);
        assert_eq!(Noise::between_runs(&[1.0], &[2.0]), None);
    }

    #[test]
    fn equal_runs_have_no_noise() {
        assert_eq!(Noise::between_runs(&[1.0, 1.0], &[2.0, 2.0]).unwrap().size, 0.0);
    }
}
