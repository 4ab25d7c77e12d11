//! Two lists of the characters that could forge a log line: the server's list for its escapes, and the oracle's list
//! for its verdicts. Each was written independently, so that a mistake in one of them shows here.

use carillon_server::log::is_escaped;
use carillon_simulator::is_forging;

#[test]
fn the_server_escapes_exactly_the_characters_that_the_oracle_calls_forging() {
    let differences: Vec<String> = ('\0'..=char::MAX)
        .filter(|letter| is_escaped(*letter) != is_forging(*letter))
        .map(|letter| format!("{letter:?}: escaped {}, forging {}", is_escaped(letter), is_forging(letter)))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}
