//! The server's time zone, and the only format in which the server prints a date.

use chrono::{DateTime, FixedOffset, NaiveDateTime};

use crate::time::WallTime;

/// Maps the wall clock to local civil time.
///
/// The core never asks the system for its zone: the zone is an argument of the server's constructor.
#[derive(Clone, Debug)]
pub enum Zone {
    /// The same offset all year, in seconds east of Greenwich.
    Fixed(i32),
    /// The offset in seconds east of Greenwich as a function of the Unix time, such as the system's zone database.
    Function(fn(unix_seconds: i64) -> i32),
    /// A change of the offset, such as the change to or from daylight saving time.
    Switch {
        /// The offset before the change, in seconds east of Greenwich.
        before: i32,
        /// The Unix time of the change, in seconds.
        at: i64,
        /// The offset from the change on, in seconds east of Greenwich.
        after: i32,
    },
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self::Fixed(0);

    /// The date as `yyyy-MM-dd HH:mm:ss` in this zone, whole seconds rounded towards the past.
    pub fn format(&self, wall: WallTime) -> String {
        self.civil(wall).format("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The local civil time. An offset of a day or more counts as zero, and a year outside chrono's range as the epoch.
    pub fn civil(&self, wall: WallTime) -> NaiveDateTime {
        let unix = wall.as_unix_seconds();
        let offset = FixedOffset::east_opt(self.offset(unix)).unwrap_or_else(zero_offset);
        DateTime::from_timestamp(unix, 0).unwrap_or_default().with_timezone(&offset).naive_local()
    }

    /// The offset at this Unix time, in seconds east of Greenwich.
    pub fn offset(&self, unix_seconds: i64) -> i32 {
        match *self {
            Self::Fixed(offset) => offset,
            Self::Function(offset_at) => offset_at(unix_seconds),
            Self::Switch { before, at, after } => {
                if unix_seconds < at {
                    before
                } else {
                    after
                }
            }
        }
    }
}

fn zero_offset() -> FixedOffset {
    FixedOffset::east_opt(0).expect("zero is a valid offset")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-10-25 01:00:00 UTC, when Central European Summer Time ends.
    const SUMMER_TIME_ENDS: i64 = 1_792_890_000;

    #[test]
    fn dates_are_zero_padded_and_in_the_zone() {
        assert_eq!(Zone::UTC.format(WallTime::from_unix_seconds(0)), "1970-01-01 00:00:00");
        assert_eq!(Zone::Fixed(8 * 3600).format(WallTime::from_unix_seconds(0)), "1970-01-01 08:00:00");
        assert_eq!(Zone::Fixed(-1).format(WallTime::from_unix_seconds(0)), "1969-12-31 23:59:59");
    }

    #[test]
    fn two_instants_share_a_text_when_daylight_saving_time_ends() {
        let zone = Zone::Switch { before: 7200, at: SUMMER_TIME_ENDS, after: 3600 };
        let last_of_summer = zone.format(WallTime::from_unix_seconds(SUMMER_TIME_ENDS - 3600 + 60));
        let winter = zone.format(WallTime::from_unix_seconds(SUMMER_TIME_ENDS + 60));
        assert_eq!(last_of_summer, "2026-10-25 02:01:00");
        assert_eq!(winter, last_of_summer);
        assert_eq!([SUMMER_TIME_ENDS - 1, SUMMER_TIME_ENDS].map(|unix| zone.offset(unix)), [7200, 3600]);
    }

    #[test]
    fn an_impossible_offset_or_year_still_prints_a_date() {
        assert_eq!(Zone::Fixed(i32::MAX).format(WallTime::from_unix_seconds(0)), "1970-01-01 00:00:00");
        assert_eq!(Zone::UTC.format(WallTime::from_unix_nanos(i64::MAX)).len(), "1970-01-01 00:00:00".len());
    }
}
