//! Reads and writes counts, seeds, times and sizes, such as `10k` clients, as on a command line.

use std::time::Duration;

use carillon_server::Timestamp;

pub use carillon_server::units::{format_span, parse_fixed_zone, parse_size, parse_span};

/// Multiples, largest first.
const COUNTS: [(&str, u32); 3] = [("m", 1_000_000), ("k", 1000), ("", 1)];

/// A virtual time in the form of scripts, such as `2319.25s`.
pub fn format_instant(at: Timestamp) -> String {
    format_seconds(at.since(Timestamp::ZERO))
}

/// A span in seconds with all its digits, such as `0.01s`.
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

/// A count in the shortest exact form that [`parse_count`] reads.
pub fn format_count(count: u32) -> String {
    let is_whole = |(_, scale): &&(&str, u32)| count >= *scale && count.is_multiple_of(*scale);
    let (unit, scale) = COUNTS.iter().find(is_whole).unwrap_or(&("", 1));
    format!("{}{unit}", count / scale)
}

/// Reads a seed: a decimal number, or a commit hash of 7 to 40 hexadecimal digits, which is folded to 48 bits.
///
/// A text of decimal digits only is always a decimal number.
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

/// Combines blocks of 48 bits by XOR, so that a short hash is its own number.
fn fold(digits: &str) -> u64 {
    let blocks = digits.as_bytes().chunks(12);
    let value = |block: &[u8]| {
        block
            .iter()
            .fold(0, |value, digit| value << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or(0)))
    };
    blocks.map(value).fold(0, |sum, block| sum ^ block)
}

/// A size in the form of [`parse_size`], in the largest unit that leaves no rest.
#[cfg(feature = "live")]
pub(crate) fn format_size(bytes: usize) -> String {
    const SIZES: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = SIZES.iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or(bytes.to_string(), |(name, size)| format!("{}{name}", bytes / size))
}

fn count_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The word with quotes, if a shell needs them.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if word.bytes().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn a_seed_is_decimal_unless_it_has_a_letter() {
        for (text, seed) in [
            ("0", 0),
            ("1234567", 1_234_567),
            ("18446744073709551615", u64::MAX),
            ("3f2a9c1", 0x03f2_a9c1),
            ("3F2A9C1", 0x03f2_a9c1),
            ("ffffffffffff", (1 << 48) - 1),
            // Two blocks of twelve digits.
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
    fn counts_are_written_with_k_and_m() {
        let counts = [0, 999, 1000, 1001, 10_000, 2_000_000, 2_001_000].map(format_count);
        assert_eq!(counts, ["0", "999", "1k", "1001", "10k", "2m", "2001k"]);
    }

    #[cfg(feature = "live")]
    #[test]
    fn sizes_are_written_in_the_largest_unit_that_leaves_no_rest() {
        let sizes = [0, 1023, 1024, 1025, 64 << 10, 17 << 20, 3 << 30];
        assert_eq!(sizes.map(format_size), ["0", "1023", "1KiB", "1025", "64KiB", "17MiB", "3GiB"]);
        assert!(sizes.into_iter().all(|size| parse_size(&format_size(size)) == Ok(size)));
    }

    proptest! {
        #[test]
        fn a_written_count_reads_back_equal(count: u32, thousands in 0..4_000_000_u32) {
            for count in [count, thousands * 1000] {
                prop_assert_eq!(parse_count(&format_count(count)), Ok(count));
            }
        }

        #[test]
        fn no_text_causes_a_panic(text: String) {
            let _answers = (parse_seed(&text), parse_count(&text));
        }
    }
}
