//! What people write on a command line: `5m`, `1500ms`, `64KiB`, `+08:00`.

use std::time::Duration;

use crate::shell::clock::system_zone;
use crate::zone::Zone;

/// Units of time, in milliseconds.
const SPANS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of memory, in bytes. Bare numbers are bytes.
const SIZES: [(&str, u64); 5] = [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Seconds in a day: no zone is further from Greenwich.
const DAY: i32 = 86_400;

/// A time: a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    scaled(text, &SPANS)
        .map(Duration::from_millis)
        .ok_or_else(|| "write a whole number and a unit (ms, s, m, h or d), such as 1500ms or 5m".to_owned())
}

/// A size in bytes: a whole number, alone or with `B`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub fn parse_size(text: &str) -> Result<usize, String> {
    scaled(text, &SIZES).and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        "write a whole number of bytes, or one with B, KiB, MiB or GiB, such as 64KiB".to_owned()
    })
}

/// A time zone: `local`, `utc`, or an offset such as `+08:00`.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub fn parse_zone(text: &str) -> Result<Zone, String> {
    match text {
        "local" => Ok(system_zone()),
        "utc" => Ok(Zone::UTC),
        _ => parse_offset(text)
            .map(Zone::Fixed)
            .ok_or_else(|| "write local, utc, or an offset such as +08:00".to_owned()),
    }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let offset = 3600 * two_digits(hours)? + 60 * two_digits(minutes).filter(|minutes| *minutes < 60)?;
    (offset < DAY).then_some(sign * offset)
}

fn two_digits(text: &str) -> Option<i32> {
    let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse_span("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_span("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_span("1h"), Ok(Duration::from_secs(3600)));
        for wrong in
            ["", "5", "m", "-5m", "1.5s", "5 m", "5min", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(parse_span(wrong).unwrap_err().contains("ms, s, m, h or d"), "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_bytes_unless_a_unit_says_otherwise() {
        assert_eq!(parse_size("100"), Ok(100));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("17MiB"), Ok(17 << 20));
        for wrong in ["", "KiB", "64kb", "64 KiB", "-1", "99999999999GiB"] {
            assert!(parse_size(wrong).unwrap_err().contains("KiB"), "{wrong:?}");
        }
    }

    #[test]
    fn zones_are_named_or_an_offset() {
        let offset = |text| parse_zone(text).map(|zone| zone.offset(0));
        assert_eq!(offset("utc"), Ok(0));
        assert_eq!(offset("+08:00"), Ok(28_800));
        assert_eq!(offset("-03:30"), Ok(-12_600));
        assert_eq!(offset("+23:59"), Ok(86_340));
        for wrong in ["", "+24:00", "+8", "08:00", "+08:60", "+0a:00", "Europe/Berlin", "é"] {
            assert!(offset(wrong).unwrap_err().contains("+08:00"), "{wrong:?}");
        }
    }
}
