//! The axes of a chart: positions of values, and ticks.

use std::time::Duration;

use crate::metrics::Unit;
use crate::units::format_span;

/// The approximate number of ticks on an axis.
const TICKS: f64 = 5.0;

/// Round steps of a time axis, in seconds.
const ROUND_SECONDS: [f64; 17] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0,
    43_200.0, 86_400.0,
];

/// One direction of a chart.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    is_log: bool,
    /// The labelled values.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis from 0 to a round number that is at least `most`.
    pub(super) fn from_zero(most: f64, unit: Unit) -> Self {
        // Round numbers of bytes are powers of 1,024.
        let scale = match unit {
            Unit::Bytes => 1024_f64.powf(most.max(1.0).log(1024.0).floor()),
            _ => 1.0,
        };
        let step = round_step((most / scale).max(1e-6) / TICKS) * scale;
        let count = (most / step).ceil().max(1.0);
        let tick = |index: u32| (f64::from(index) * step, unit_label(f64::from(index) * step, unit));
        Self { from: 0.0, to: count * step, is_log: false, ticks: (0..=count as u32).map(tick).collect() }
    }

    /// A time axis from 0 to `most` seconds.
    pub(super) fn seconds(most: f64) -> Self {
        let most = most.max(1.0);
        let fits = |step: &&f64| most / **step <= TICKS + 2.0;
        let step = ROUND_SECONDS
            .iter()
            .find(fits)
            .copied()
            .unwrap_or_else(|| (most / TICKS / 86_400.0).ceil() * 86_400.0);
        let count = (most / step).floor() as u32;
        let tick = |index: u32| {
            let at = f64::from(index) * step;
            (at, format_span(Duration::from_secs_f64(at)))
        };
        Self { from: 0.0, to: most, is_log: false, ticks: (0..=count).map(tick).collect() }
    }

    /// A logarithmic axis of milliseconds from at most `least` to at least `most`. Both must be above 0.
    pub(super) fn log_millis(least: f64, most: f64) -> Self {
        let decades = (least.log10().floor() as i32)..=(most.log10().ceil() as i32);
        let steps: &[f64] = if decades.clone().count() > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let marks: Vec<f64> =
            decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade))).collect();
        let from = marks.iter().rfind(|mark| **mark <= least).copied().unwrap_or(least);
        let to = marks.iter().find(|mark| **mark >= most && **mark > from).copied().unwrap_or(most);
        let ticks = marks.into_iter().filter(|mark| (from..=to).contains(mark));
        Self { from, to, is_log: true, ticks: ticks.map(|mark| (mark, millis_label(mark))).collect() }
    }

    /// The position of a value between `start` and `end`, the positions of the first and the last value.
    pub(super) fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        let scale = |value: f64| if self.is_log { value.max(self.from).log10() } else { value };
        let share = (scale(value) - scale(self.from)) / (scale(self.to) - scale(self.from));
        start + share.clamp(0.0, 1.0) * (end - start)
    }

    /// Divides the axis into `count` parts of equal width on the page. Returns the values at both ends of each
    /// part.
    pub(super) fn parts(&self, count: u32) -> Vec<(f64, f64)> {
        let at = |index: u32| {
            let share = f64::from(index) / f64::from(count);
            if self.is_log {
                self.from * (self.to / self.from).powf(share)
            } else {
                self.from + share * (self.to - self.from)
            }
        };
        (0..count).map(|index| (at(index), at(index + 1))).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least * 0.999_999);
    factor.unwrap_or(10.0) * power
}

fn unit_label(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Millis => millis_label(value),
        Unit::Number => short(value),
        Unit::PerSecond => format!("{}/s", short(value)),
        Unit::Percent => format!("{} %", short(value)),
        _ if value == 0.0 => "0".to_owned(),
        _ => unit.format(value).replace(".0 ", " "),
    }
}

/// Milliseconds with the shortest label.
fn millis_label(millis: f64) -> String {
    // Products with powers of ten are not exact in their last bits.
    let tidy = |number: f64| (number * 1e6).round() / 1e6;
    match millis {
        0.0 => "0".to_owned(),
        ..1.0 => format!("{} µs", tidy(millis * 1000.0)),
        1.0..1000.0 => format!("{} ms", tidy(millis)),
        _ => format!("{} s", tidy(millis / 1000.0)),
    }
}

/// A count with the shortest label.
fn short(value: f64) -> String {
    let tidy = |number: f64| (number * 1e6).round() / 1e6;
    match value {
        ..1e3 => format!("{}", tidy(value)),
        1e3..1e6 => format!("{}k", tidy(value / 1e3)),
        _ => format!("{}M", tidy(value / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::from_zero(9.0, Unit::Number)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(&Axis::from_zero(14_000.0, Unit::Number)), ["0", "5k", "10k", "15k"]);
        assert_eq!(labels(&Axis::from_zero(0.0, Unit::Number)).first(), Some(&"0"));
        let memory = Axis::from_zero(90.0 * 1024.0 * 1024.0, Unit::Bytes);
        assert_eq!(labels(&memory), ["0", "20 MiB", "40 MiB", "60 MiB", "80 MiB", "100 MiB"]);
        assert_eq!(labels(&Axis::seconds(600.0)), ["0s", "2m", "4m", "6m", "8m", "10m"]);
        assert_eq!(
            labels(&Axis::log_millis(0.04, 3.0)),
            ["20 µs", "50 µs", "100 µs", "200 µs", "500 µs", "1 ms", "2 ms", "5 ms"]
        );
    }

    #[test]
    fn values_are_placed_by_the_scale() {
        let log = Axis::log_millis(1.0, 100.0);
        assert_eq!(
            [1.0, 10.0, 100.0, 0.0].map(|value| log.place(value, 0.0, 200.0)),
            [0.0, 100.0, 200.0, 0.0]
        );
        let line = Axis::from_zero(10.0, Unit::Number);
        assert_eq!(line.place(2.5, 200.0, 0.0), 150.0);
        let parts = log.parts(2);
        assert!((parts[0].1 - 10.0).abs() < 1e-9 && parts[0].1 == parts[1].0, "{parts:?}");
    }
}
