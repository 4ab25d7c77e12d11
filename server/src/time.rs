//! Time in the core: every instant is an argument, and no code reads a clock.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since an origin that the driver of the core chooses.
///
/// Unlike `std::time::Instant` it has a zero, prints as seconds, and means the same in every run. The range is 584
/// years; sums saturate.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// The end of the range. As a deadline it means "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant this many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time that has passed since `earlier`; zero if `earlier` lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Timestamp {
    /// The instant `span` earlier, or [`Timestamp::ZERO`] if that lies before the origin.
    pub const fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A point on the wall clock: nanoseconds since 1970-01-01T00:00:00Z, from the year 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// The instant this many nanoseconds after the epoch; a negative number lies before it.
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The instant this many whole seconds after the epoch; saturates at the ends of the range.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_unix_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The instant `span` earlier; saturates.
    #[must_use]
    pub const fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span) as i64))
    }

    /// The instant `span` later; saturates.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span) as i64))
    }
}

/// The readings of both clocks at one moment. Every input of the core carries them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, which decides when things happen.
    pub at: Timestamp,
    /// The wall clock. The core only prints it, so that a step of the wall clock moves no timer.
    pub wall: WallTime,
}

/// `span` in nanoseconds, saturating at 584 years.
pub(crate) const fn nanos(span: Duration) -> u64 {
    let nanos = span.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::ZERO + Duration::from_secs(1 << 62), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.since(Timestamp::MAX), Duration::ZERO);
    }

    #[test]
    fn whole_seconds_round_towards_the_past_on_both_sides_of_the_epoch() {
        assert_eq!(WallTime::from_unix_nanos(-1).as_unix_seconds(), -1);
        assert_eq!(WallTime::from_unix_nanos(999_999_999).as_unix_seconds(), 0);
    }

    #[test]
    fn a_timestamp_prints_as_seconds() {
        let at = Timestamp::ZERO + Duration::from_millis(300_001);
        assert_eq!([at.to_string(), format!("{at:?}")], ["300.001000000s"; 2]);
    }
}
