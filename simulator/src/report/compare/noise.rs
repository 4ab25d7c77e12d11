//! How much a figure differs without a cause.

use serde::{Deserialize, Serialize};

use crate::metrics::trend::{NORMAL, student};
use crate::metrics::{Aggregate, Metric, Metrics, Timing};

/// Where the noise of a figure is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseSource {
    /// Repeated runs of one side at least.
    Runs,
    /// The samples within one run of each side; what differs between runs is not in it.
    Samples,
    /// Nowhere.
    Unknown,
}

/// How far two figures stand apart by chance: 95 in a hundred times no farther.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Noise {
    /// In the unit of the figure; 0 where it is not known.
    pub(super) size: f64,
    pub(super) source: NoiseSource,
}

impl Noise {
    /// From what the figure was in each run of either side.
    ///
    /// Both sides repeated: t √(s²/n + s'²/n') with Welch's degrees of freedom (B. L. Welch, Biometrika 34, 1947). One side
    /// repeated: t s √(1/n + 1), as the other one is taken to differ as much from run to run.
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

    /// From the samples of one run of each side.
    pub(super) fn within_runs(metric: Metric, aggregate: Aggregate, base: &Metrics, new: &Metrics) -> Self {
        let errors = [base, new].map(|metrics| own_error(metric, aggregate, metrics));
        match errors {
            [Some(one), Some(other)] => Self { size: one.hypot(other), source: NoiseSource::Samples },
            _ => Self { size: 0.0, source: NoiseSource::Unknown },
        }
    }
}

/// How much a figure differs from run to run.
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

/// Half of the interval that holds the true figure 95 in a hundred times, if samples were independent.
///
/// A quantile lies between two order statistics, whatever the distribution ([`quantile_error`]); an average has the
/// error s/√n. Counts, extremes, and what is sampled over time say nothing about their own error.
fn own_error(metric: Metric, aggregate: Aggregate, metrics: &Metrics) -> Option<f64> {
    let timing = metric.timing(metrics)?;
    match aggregate {
        Aggregate::Avg => Some(NORMAL * timing.deviation()? / (timing.count() as f64).sqrt()),
        Aggregate::Med => quantile_error(&timing, 0.5),
        Aggregate::Percentile(percent) => quantile_error(&timing, percent / 100.0),
        _ => None,
    }
}

/// How far a quantile may be from the true one: of n samples those of the ranks np ± 1.96 √(np(1 − p)) enclose it 95 in a
/// hundred times (W. J. Conover, Practical Nonparametric Statistics, 3rd ed. 1999, section 3.2). `None` if they are too
/// few for such ranks to exist.
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

    /// A hundred latencies between 1 and 2 ms.
    fn sample(rng: &mut Rng) -> Metrics {
        let mut metrics = Metrics { seconds: 1.0, ..Metrics::default() };
        for _ in 0..1000 {
            metrics.record_push(1, Duration::ZERO, Duration::from_micros(1000 + rng.below(1000)));
        }
        metrics
    }

    #[test]
    fn the_interval_of_a_quantile_holds_the_true_one_as_often_as_it_says() {
        let mut rng = Rng::new(1);
        let held = (0..400).filter(|_| {
            let metrics = sample(&mut rng);
            let error = quantile_error(&metrics.push_latency, 0.9).unwrap();
            (metrics.push_latency.quantile(0.9).unwrap() - 1.9).abs() <= error
        });
        let held = held.count();
        // 95 % of 400 are 380; the wider half is taken on both sides, so it is a little more.
        assert!((370..=400).contains(&held), "{held} of 400");
    }

    #[test]
    fn a_quantile_of_few_samples_has_no_error_that_is_known() {
        let mut metrics = Metrics::default();
        (1..=100).for_each(|millis| metrics.echo.record(Duration::from_millis(millis)));
        assert!(quantile_error(&metrics.echo, 0.5).is_some());
        // 99 + 1.96 × √0.99 is beyond the hundredth.
        assert_eq!(quantile_error(&metrics.echo, 0.99), None);
        assert_eq!(quantile_error(&Timing::default(), 0.5), None);
    }

    #[test]
    fn welch_has_the_figures_of_the_textbook() {
        // s² 2.5 and 10, so that √(2.5/5 + 10/5) = 1.5811; 2.5² / (0.5²/4 + 2²/4) = 5.882 degrees of freedom; t 2.459.
        let noise = Noise::between_runs(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 4.0, 6.0, 8.0, 10.0]).unwrap();
        assert!((noise.size - 2.459 * 1.5811).abs() < 0.02, "{noise:?}");
    }

    #[test]
    fn one_side_that_was_repeated_speaks_for_both() {
        // s² 1, so that √(1/3 + 1) = 1.1547; t(2) 4.303.
        let noise = Noise::between_runs(&[1.0, 2.0, 3.0], &[2.0]).unwrap();
        assert!((noise.size - 4.303 * 1.1547).abs() < 0.01, "{noise:?}");
        assert_eq!(Noise::between_runs(&[2.0], &[1.0, 2.0, 3.0]).unwrap(), noise);
        assert_eq!(Noise::between_runs(&[1.0], &[2.0]), None);
    }

    #[test]
    fn runs_that_do_not_differ_have_no_noise() {
        assert_eq!(Noise::between_runs(&[1.0, 1.0], &[2.0, 2.0]).unwrap().size, 0.0);
    }
}
