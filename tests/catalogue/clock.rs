//! The time of the compact server: the runtime's clock, and the format of a civil time.

use chrono::{Datelike, NaiveDateTime, Timelike};
use tokio::time::Instant;

/// The only place that reads the runtime's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a server on trial lives in the harness's time, which is tokio's"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A civil time in the format of the push text and the log.
pub(crate) fn stamp(time: NaiveDateTime) -> String {
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}
