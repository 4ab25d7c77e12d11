//! Numbers as people write them on a command line: `10k` clients, `1h30m` of time.

use std::time::Duration;

use carillon_server::Timestamp;

/// Units of time, largest first, in milliseconds.
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Multiples, largest first.
const COUNTS: [(&str, u32); 3] = [("m", 1_000_000), ("k", 1000), ("", 1)];

/// From here on days are easier to read than hours: `24h`, but `2d`.
const DAYS_FROM: Duration = Duration::from_secs(48 * 3600);

/// A time such as `1500ms`, `5m`, `24h` or `1h30m`: whole numbers with their units, the largest unit first.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    sum_of_spans(text).map(Duration::from_millis).ok_or_else(|| {
        "write whole numbers and units (d, h, m, s, ms), the largest first, such as 1500ms, 5m or 1h30m"
            .to_owned()
    })
}

/// A time as [`parse_span`] reads it. What is less than a millisecond is not written.
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

/// A virtual time as `2319.25s`, as scripts have it.
pub fn format_instant(at: Timestamp) -> String {
    format_seconds(at.since(Timestamp::ZERO))
}

/// A span in seconds with all its digits, as `0.01s`.
pub(crate) fn format_seconds(span: Duration) -> String {
    let text = format!("{}.{:09}", span.as_secs(), span.subsec_nanos());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A count such as `500`, `10k` or `2m`.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub fn parse_count(text: &str) -> Result<u32, String> {
    let (number, unit) = text.split_at(count_digits(text));
    COUNTS
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|(_, scale)| number.parse::<u32>().ok()?.checked_mul(*scale))
        .ok_or_else(|| {
            "write a whole number, alone or with k (thousand) or m (million), such as 500, 10k or 1m"
                .to_owned()
        })
}

/// A count as [`parse_count`] reads it, as short as it gets without rounding.
pub fn format_count(count: u32) -> String {
    let is_whole = |(_, scale): &&(&str, u32)| count >= *scale && count.is_multiple_of(*scale);
    let (unit, scale) = COUNTS.iter().find(is_whole).unwrap_or(&("", 1));
    format!("{}{unit}", count / scale)
}

/// A seed: a decimal number, or a commit hash of 7 to 40 hexadecimal digits, folded to 48 bits.
///
/// Digits alone are always a decimal number.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let is_hash = (7..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !text.is_empty() && count_digits(text) == text.len() {
        text.parse().map_err(|_| format!("a decimal number goes up to {}", u64::MAX))
    } else if is_hash {
        Ok(fold(text))
    } else {
        Err("write a whole number, or a commit hash of 7 to 40 hexadecimal digits".to_owned())
    }
}

/// Hexadecimal digits in blocks of 48 bits, one upon the other: a short hash is its own number.
fn fold(digits: &str) -> u64 {
    let blocks = digits.as_bytes().chunks(12);
    let value = |block: &[u8]| {
        block
            .iter()
            .fold(0, |value, digit| value << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or(0)))
    };
    blocks.map(value).fold(0, |sum, block| sum ^ block)
}

/// Milliseconds, if the text is a sum of spans in falling order.
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

/// A word that a shell takes for one.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if word.bytes().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
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
    fn counts_have_at_most_one_suffix() {
        for (text, count) in [("0", 0), ("500", 500), ("10k", 10_000), ("4294m", 4_294_000_000)] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for wrong in ["", "k", "10K", "1.5k", "-1", "10 k", "10kk", "1g", "4295m", "4294967296"] {
            let sentence = parse_count(wrong).unwrap_err();
            assert!(sentence.contains("10k"), "{wrong:?}: {sentence}");
        }
    }

    #[test]
    fn seeds_are_decimal_unless_a_letter_says_otherwise() {
        for (text, seed) in [
            ("0", 0),
            ("1234567", 1_234_567),
            ("18446744073709551615", u64::MAX),
            ("3f2a9c1", 0x03f2_a9c1),
            ("3F2A9C1", 0x03f2_a9c1),
            ("ffffffffffff", (1 << 48) - 1),
            // Twelve digits and twelve digits.
            ("00000000000f0000000000f0", 0xff),
        ] {
            assert_eq!(parse_seed(text), Ok(seed), "{text}");
        }
        for wrong in ["", "-1", "3f2a9c", "0x1234567", "1.5e300", "word", "18446744073709551616", "é"] {
            assert!(parse_seed(wrong).is_err(), "{wrong}");
        }
        assert!(parse_seed(&"a".repeat(40)).unwrap() < 1 << 48);
        assert!(parse_seed(&"a".repeat(41)).is_err());
    }

    #[test]
    fn what_is_written_is_what_people_write() {
        let span = |seconds| format_span(Duration::from_secs(seconds));
        assert_eq!(span(0), "0s");
        assert_eq!(span(300), "5m");
        assert_eq!(span(86_400), "24h");
        assert_eq!(span(2 * 86_400 - 1), "47h59m59s");
        assert_eq!(span(2 * 86_400), "2d");
        assert_eq!(format_span(Duration::from_millis(1500)), "1s500ms");
        let counts = [0, 999, 1000, 1001, 10_000, 2_000_000, 2_001_000].map(format_count);
        assert_eq!(counts, ["0", "999", "1k", "1001", "10k", "2m", "2001k"]);
    }

    proptest! {
        #[test]
        fn a_time_reads_back_as_it_was_written(millis: u64) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_span(&format_span(span)), Ok(span));
        }

        #[test]
        fn a_count_reads_back_as_it_was_written(count: u32, thousands in 0..4_000_000_u32) {
            for count in [count, thousands * 1000] {
                prop_assert_eq!(parse_count(&format_count(count)), Ok(count));
            }
        }

        #[test]
        fn nothing_that_is_typed_is_a_panic(text: String) {
            let _answers = (parse_span(&text), parse_count(&text));
        }
    }
}
