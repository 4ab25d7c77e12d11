//! Only the oracle gives verdicts, and its front page names the file for each guarantee.

use std::collections::{BTreeMap, BTreeSet};

use carillon_simulator::Guarantee;

use super::source::Crate;

/// The guarantees that a file of the checker exercises or reports, as its code names them.
fn judged_in(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in code.lines().filter(|line| !line.contains("tally(")) {
        for (place, prefix) in line.match_indices("Guarantee::G") {
            let digits = &line[place + prefix.len()..];
            let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
            found.insert(format!("G{}", &digits[..end]));
        }
    }
    found
}

#[test]
fn the_front_page_of_the_oracle_says_where_each_guarantee_is_judged() {
    let source = Crate::read("simulator/src");
    let mut judged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in source.files() {
        let Some(name) = file.path.strip_prefix("oracle/checker/") else { continue };
        for guarantee in judged_in(file.code()) {
            judged.entry(guarantee).or_default().insert(name.trim_end_matches(".rs").to_owned());
        }
    }
    let page = include_str!("../../simulator/src/oracle/mod.rs");
    for guarantee in Guarantee::ALL {
        let files: Vec<String> =
            judged[&guarantee.to_string()].iter().map(|file| format!("`{file}`")).collect();
        let row = format!("//! | {guarantee} {} | {} |", guarantee.name(), files.join(", "));
        assert!(page.contains(&row), "oracle/mod.rs lacks the row\n{row}");
    }
}

#[test]
fn the_world_gives_no_verdict() {
    let source = Crate::read("simulator/src");
    for file in source.files().iter().filter(|file| file.path.starts_with("world/")) {
        for word in ["Guarantee::", "Fault::", "violate", "exercise("] {
            assert!(
                !file.code().contains(word),
                "{} has {word:?}: verdicts belong to oracle/checker",
                file.path
            );
        }
    }
}
