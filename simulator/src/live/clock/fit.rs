//! Whether one grid explains the pushes: drifts and sudden moves.

use std::time::Duration;

use carillon_server::Timestamp;

/// How late the first push of a cycle was, relative to the grid: at the earliest and at the latest. The harness knows
/// an arrival only between two instants.
pub(super) type Late = (Duration, Duration);

/// The least difference between two halves that is worth a doubt: below it a timer's own grain decides.
const FAINT: Duration = Duration::from_micros(300);

/// The result of fitting a grid to all arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// There are fewer than four cycles: no result.
    Short,
    /// No grid explains the pushes: some are more than half a period later than others.
    NoGrid {
        /// When the first such push arrived.
        at: Timestamp,
    },
    /// One grid explains all pushes.
    OnGrid {
        /// The latest first arrival of a cycle, relative to the grid.
        latest: Duration,
        /// A total drift below this would not have been detected.
        uncertainty: Duration,
    },
    /// The cycles of the second half are all later, or all earlier, than those of the first.
    Moved {
        /// The least difference.
        by: Duration,
        is_later: bool,
    },
    /// The same, but the difference is too small for this run to be certain.
    Faint {
        by: Duration,
        is_later: bool,
        /// The number of cycles after which such a drift would be certain.
        cycles_needed: u64,
    },
}

/// A drift through a stretch of cycles without a stop: its halves are apart, and lateness has a trend. `uncertainty` is
/// what the harness cannot observe.
pub(super) fn drift(stretch: &[Late], uncertainty: Duration) -> Option<Fit> {
    let half = stretch.len() / 2;
    let (by, is_later) = gap(stretch, half)?;
    if !has_trend(stretch, is_later) {
        // Random lateness can separate two halves, and has no trend within them.
        return None;
    }
    let by = by.max(ends_apart(stretch, is_later));
    if by > uncertainty {
        return Some(Fit::Moved { by, is_later });
    }
    // The difference grows with the number of cycles.
    let times = (uncertainty.as_nanos() / by.as_nanos().max(1)) as u64 + 2;
    let cycles_needed = 2 * half as u64 * times;
    (by > FAINT).then_some(Fit::Faint { by, is_later, cycles_needed })
}

/// The difference between the lateness of the cycles before and after a place that the harness's own delays cannot
/// explain: from the latest possible arrival on one side to the earliest possible one on the other. Each cycle is its
/// earliest and its latest possible lateness. `None` if the two sides overlap, or one is too small.
pub(super) fn gap(late: &[Late], place: usize) -> Option<(Duration, bool)> {
    let (before, after) = late.split_at(place.min(late.len()));
    if before.len() < 2 || after.len() < 2 {
        return None;
    }
    let between = |lower: &[Late], upper: &[Late]| {
        let highest = lower.iter().map(|(_, at)| *at).max()?;
        let lowest = upper.iter().map(|(earliest, _)| *earliest).min()?;
        lowest.checked_sub(highest).filter(|by| *by > Duration::ZERO)
    };
    let later = between(before, after).map(|by| (by, true));
    later.or_else(|| between(after, before).map(|by| (by, false)))
}

/// Whether lateness rises (or falls) through a stretch: nearly every pair of cycles is in that order (Kendall's tau of
/// at least 0.8).
fn has_trend(late: &[Late], is_later: bool) -> bool {
    let (mut right, mut all) = (0, 0);
    for (place, one) in late.iter().enumerate() {
        for other in &late[place + 1..] {
            all += 1;
            right += usize::from(if is_later { other.1 > one.1 } else { other.1 < one.1 });
        }
    }
    // A share of 9 in 10 is a tau of 0.8.
    all > 0 && right * 10 >= all * 9
}

/// The difference between the first and the last third of a stretch, whose lateness has a trend.
fn ends_apart(late: &[Late], is_later: bool) -> Duration {
    let third = (late.len() / 3).max(1);
    let (first, last) = (&late[..third], &late[late.len() - third..]);
    let (lower, upper) = if is_later { (first, last) } else { (last, first) };
    let highest = lower.iter().map(|(_, at)| *at).max().unwrap_or_default();
    let lowest = upper.iter().map(|(earliest, _)| *earliest).min().unwrap_or_default();
    lowest.saturating_sub(highest)
}
