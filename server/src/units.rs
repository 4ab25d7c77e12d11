//! Times, sizes and zones as a command line and a scenario file spell them: `1h30m`, `64KiB`, `+08:00`.

use std::time::Duration;

use crate::zone::Zone;

/// Units of time, largest first, in milliseconds.
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of memory, in bytes. Bare numbers are bytes.
const SIZES: [(&str, u64); 5] = [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// From this time on, days are easier to read than hours: `24h`, but `2d`.
const DAYS_FROM: Duration = Duration::from_secs(48 * 3600);

/// Seconds in a day. The offset of every zone is smaller.
const DAY: i32 = 86_400;

/// Parses a time such as `1500ms`, `5m`, `24h` or `1h30m`: whole numbers with their units, the largest unit first.
///
/// # Errors
///
/// A sentence that names the allowed forms.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    sum_of_spans(text).map(Duration::from_millis).ok_or_else(|| {
        "write whole numbers and units (d, h, m, s, ms), the largest first, such as 1500ms, 5m or 1h30m"
            .to_owned()
    })
}

/// Formats a time so that [`parse_span`] can read it, rounded down to whole milliseconds.
pub fn format_span(span: Duration) -> String {
    let units = if span < DAYS_FROM { &SPANS[1..] } else { &SPANS };
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, scale) in units {
        if rest >= *scale {
            text.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Parses a size in bytes: a whole number, alone or with `B`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
///
/// A sentence that names the allowed forms.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let (number, unit) = text.split_at(count_digits(text));
    let scale = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    scale
        .and_then(|scale| number.parse::<u64>().ok()?.checked_mul(scale))
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| {
            "write a whole number of bytes, or one with B, KiB, MiB or GiB, such as 64KiB".to_owned()
        })
}

/// Parses a zone that is the same on every machine: `utc`, or an offset from `-23:59` to `+23:59`, such as `+08:00`.
/// `None` for any other text.
pub fn parse_fixed_zone(text: &str) -> Option<Zone> {
    if text == "utc" { Some(Zone::UTC) } else { parse_offset(text).map(Zone::Fixed) }
}

/// The sum of the spans in `text`, in milliseconds; `None` unless their units fall from large to small.
fn sum_of_spans(text: &str) -> Option<u64> {
    let (mut rest, mut units) = (text, SPANS.as_slice());
    let mut sum = 0_u64;
    loop {
        let (number, tail) = rest.split_at(count_digits(rest));
        let unit_length = tail.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
        let (unit, tail) = tail.split_at(unit_length);
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let span = number.parse::<u64>().ok()?.checked_mul(units[place].1)?;
        sum = sum.checked_add(span)?;
        (rest, units) = (tail, &units[place + 1..]);
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

fn count_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_have_units_the_largest_first() {
        for (text, millis) in [
            ("1500ms", 1500),
            ("2s", 2000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("1d", 86_400_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in [
            "",
            "5",
            "m",
            "-5m",
            "1.5s",
            "5 m",
            "5min",
            "30m1h",
            "1h1h",
            "1h30",
            "1hé",
            "99999999999999999999s",
            "18446744073709551615h",
            "213503982334d18446744073709551615ms",
        ] {
            let sentence = parse_span(wrong).unwrap_err();
            assert!(sentence.contains("1h30m"), "{wrong:?}: {sentence}");
        }
    }

    #[test]
    fn times_are_written_in_their_largest_units_and_days_from_two_on() {
        let span = |seconds| format_span(Duration::from_secs(seconds));
        assert_eq!(span(0), "0s");
        assert_eq!(span(300), "5m");
        assert_eq!(span(86_400), "24h");
        assert_eq!(span(2 * 86_400 - 1), "47h59m59s");
        assert_eq!(span(2 * 86_400), "2d");
        assert_eq!(format_span(Duration::from_millis(1500)), "1s500ms");
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
    fn fixed_zones_are_utc_or_an_offset() {
        let offset = |text| parse_fixed_zone(text).map(|zone| zone.offset(0));
        assert_eq!(offset("utc"), Some(0));
        assert_eq!(offset("+08:00"), Some(28_800));
        assert_eq!(offset("-03:30"), Some(-12_600));
        assert_eq!(offset("+23:59"), Some(86_340));
        for wrong in
            ["", "local", "+24:00", "+8", "08:00", "+08:60", "+0a:00", "+008:00", "Europe/Berlin", "é"]
        {
            assert_eq!(offset(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_time_reads_back_as_it_was_written(millis: u64) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_span(&format_span(span)), Ok(span));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _answers = (parse_span(&text), parse_size(&text), parse_fixed_zone(&text));
        }
    }
}
