//! Decides whether a figure grows: a straight line through its samples, with the error of its slope.

use serde::{Deserialize, Serialize};

/// The smallest number of samples for a trend.
const FEWEST: usize = 8;

/// The two-sided 95 % point of the normal distribution.
pub(crate) const NORMAL: f64 = 1.959_964;

/// A line of ordinary least squares through samples (t, y).
///
/// With t̄ and ȳ the means, S = Σ(t − t̄)² and e the distances from the line, the slope is Σ(t − t̄)(y − ȳ) / S and
/// its standard error √(Σe² / (m − 2) / S) · √(n / m). Memory grows in steps, so one sample tells much of the next:
/// instead of n samples only m = n(1 − r) / (1 + r) count, r ≥ 0 being the correlation of each e with the one after it
/// (Santer et al., "Statistical significance of trends", J. Geophys. Res. 105, 2000, eqs. 3–6).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trend {
    /// The growth per hour, in the unit of the samples.
    pub per_hour: f64,
    /// The standard error of `per_hour`.
    pub error: f64,
    /// The effective number of independent samples, at most the number of samples.
    pub samples: f64,
}

impl Trend {
    /// The trend of `points`: times in seconds, and values in any unit. `None` for fewer than 8 points, or if all have
    /// the same time.
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        if points.len() < FEWEST {
            return None;
        }
        let (mean_time, mean) = (sum(points, |(time, _)| time) / count, sum(points, |(_, y)| y) / count);
        let spread = sum(points, |(time, _)| (time - mean_time).powi(2));
        if spread <= 0.0 {
            return None;
        }
        let slope = sum(points, |(time, y)| (time - mean_time) * (y - mean)) / spread;
        let rests: Vec<f64> = points.iter().map(|(time, y)| y - mean - slope * (time - mean_time)).collect();
        let squares: f64 = rests.iter().map(|rest| rest * rest).sum();
        let samples = effective(&rests, squares);
        let variance = squares / (samples - 2.0).max(1.0) * count / samples;
        Some(Self { per_hour: slope * 3600.0, error: (variance / spread).sqrt() * 3600.0, samples })
    }

    /// Whether the slope is not significant at 95 %: zero lies within t standard errors, by Student's t.
    pub fn is_flat(&self) -> bool {
        // Sums of equal numbers differ in their last bits.
        self.per_hour.abs() <= student(self.samples - 2.0) * self.error + f64::EPSILON
    }
}

/// The effective number of independent `rests`, if each depends on the one before.
fn effective(rests: &[f64], squares: f64) -> f64 {
    let count = rests.len() as f64;
    if squares <= 0.0 {
        return count;
    }
    let lagged: f64 = rests.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let likeness = (lagged / squares).clamp(0.0, 0.99);
    count * (1.0 - likeness) / (1.0 + likeness)
}

fn sum(points: &[(f64, f64)], term: impl Fn((f64, f64)) -> f64) -> f64 {
    points.iter().copied().map(term).sum()
}

/// The two-sided 95 % point of Student's t: the expansion in Abramowitz and Stegun, 26.7.5, exact for 1 and 2 degrees
/// of freedom and off by less than 1 % from 3 on. Less than one degree of freedom counts as one.
pub(crate) fn student(freedom: f64) -> f64 {
    let freedom = freedom.max(1.0);
    if freedom < 3.0 {
        // Between the exact values a line on the logarithm is accurate enough.
        let exact: [f64; 3] = [12.7062, 4.3027, 3.1824];
        let (low, part) = (freedom.floor(), freedom.fract());
        let [from, to] = [exact[low as usize - 1], exact[low as usize]].map(f64::ln);
        return (from + part * (to - from)).exp();
    }
    let z = NORMAL;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    let powers = [1, 2, 3].map(|power| freedom.powi(power));
    z + terms.iter().zip(powers).map(|(term, power)| term / power).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn noisy(seed: u64, per_second: f64, count: u64) -> Vec<(f64, f64)> {
        let mut rng = Rng::new(seed);
        let y = |second: u64, noise: u64| 1e6 + per_second * second as f64 + noise as f64;
        (0..count).map(|second| (second as f64, y(second, rng.below(1000)))).collect()
    }

    #[test]
    fn the_slope_of_an_exact_line_has_no_error() {
        let points: Vec<_> = (0..10).map(|at| (f64::from(at), 5.0 + 2.0 * f64::from(at))).collect();
        let trend = Trend::of(&points).unwrap();
        assert!((trend.per_hour - 7200.0).abs() < 1e-6, "{trend:?}");
        assert!(trend.error < 1e-6 && !trend.is_flat(), "{trend:?}");
    }

    #[test]
    fn the_error_equals_that_of_a_textbook_sample() {
        // t̄ 4.5, ȳ 1/2, S 42, Σ(t − t̄)(y − ȳ) 2, Σe² 2 − 4/42; neighbours differ, so that all eight count.
        let points: Vec<_> = (1..=8).map(|at| (f64::from(at), f64::from((at + 1) % 2))).collect();
        let trend = Trend::of(&points).unwrap();
        assert_eq!(trend.samples, 8.0);
        assert!((trend.per_hour / 3600.0 - 2.0 / 42.0).abs() < 1e-12, "{trend:?}");
        let error = ((2.0 - 4.0 / 42.0) / 6.0 / 42.0_f64).sqrt();
        assert!((trend.error / 3600.0 - error).abs() < 1e-12, "{trend:?}");
        assert!(trend.is_flat());
    }

    #[test]
    fn noise_is_flat_and_a_leak_is_not() {
        let flat = (0..200).filter(|seed| Trend::of(&noisy(*seed, 0.0, 100)).unwrap().is_flat()).count();
        // 95 % of 200 are 190, and three standard deviations 9.2.
        assert!((180..=199).contains(&flat), "{flat} of 200 were flat");
        let leaks = (0..200).filter(|seed| !Trend::of(&noisy(*seed, 10.0, 100)).unwrap().is_flat()).count();
        assert_eq!(leaks, 200);
    }

    #[test]
    fn one_step_is_flat() {
        let points: Vec<_> = (0..60).map(|at| (f64::from(at), if at < 25 { 1e6 } else { 1.1e6 })).collect();
        assert!(Trend::of(&points).unwrap().is_flat(), "{:?}", Trend::of(&points));
    }

    #[test]
    fn a_constant_is_flat_and_too_few_samples_have_no_trend() {
        let points: Vec<_> = (0..20).map(|at| (f64::from(at), 123_456_789.1)).collect();
        assert!(Trend::of(&points).unwrap().is_flat());
        assert_eq!(Trend::of(&points[..7]), None);
        assert_eq!(Trend::of(&[(1.0, 2.0); 10]), None);
    }

    #[test]
    fn students_t_equals_the_tables() {
        for (freedom, tabled) in
            [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042)]
        {
            let found = student(freedom);
            assert!((found / tabled - 1.0).abs() < 0.01, "t({freedom}) = {found}, not {tabled}");
        }
    }
}
