//! Numbers, times and sentences that several reports share.

use carillon_server::Timestamp;

use crate::oracle::verdict::Verdict;

/// The warning in reports of runs that accepted every certificate.
pub(crate) const INSECURE: &str =
    "The server's certificate was NOT verified (--insecure): the peer that answered may not be the server.";

/// A number with commas: 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, in the plural unless the count is one.
pub(crate) fn counted(count: u64, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {word}{plural}", grouped(count))
}

/// Microseconds as `141.4 ms`.
pub(crate) fn millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1000.0)
}

/// A virtual time as `day 1 03:05:00.121`. The first day is day 1.
pub(crate) fn moment(at: Timestamp) -> String {
    let millis = at.as_nanos() / 1_000_000;
    let seconds = millis / 1000;
    format!(
        "day {} {:02}:{:02}:{:02}.{:03}",
        seconds / 86_400 + 1,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        millis % 1000,
    )
}

/// A sentence that counts the verdicts of `all` guarantees. `violated` is the word for a broken one.
pub(crate) fn count_verdicts(verdicts: &[Verdict], all: usize, violated: &str) -> String {
    let count = |verdict| verdicts.iter().filter(|one| **one == verdict).count();
    let mut sentence = match count(Verdict::Violated) {
        0 => format!("{} of {all} guarantees held", count(Verdict::Held)),
        broken => format!("{broken} of {all} guarantees {violated}"),
    };
    for verdict in [Verdict::Undecided, Verdict::NotExercised] {
        if let some @ 1.. = count(verdict) {
            sentence.push_str(&format!(", {some} {}", verdict.name()));
        }
    }
    sentence
}

/// The end of a sentence that counts verdicts: guarantees that the tester did not ask for, and lax departures.
pub(crate) fn count_besides(not_asked_for: usize, lax: usize) -> String {
    let parts = [(not_asked_for, "not asked for"), (lax, "lax")];
    let some = parts.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, word)| format!(", {count} {word}")).collect()
}

/// The client, or the server as a whole.
pub(crate) fn subject(client: Option<u32>) -> String {
    client.map_or_else(|| "the server as a whole".to_owned(), |client| format!("client {client}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_in_threes() {
        let numbers = [0, 999, 1000, 12_345, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(counted(1, "cycle"), "1 cycle");
        assert_eq!(counted(2000, "cycle"), "2,000 cycles");
    }

    #[test]
    fn virtual_time_is_a_day_and_a_time_of_day() {
        assert_eq!(moment(Timestamp::ZERO), "day 1 00:00:00.000");
        let last = Timestamp::from_nanos(86_399_999_999_999);
        assert_eq!(moment(last), "day 1 23:59:59.999");
        assert_eq!(moment(Timestamp::from_nanos(86_400_000_000_000)), "day 2 00:00:00.000");
    }
}
