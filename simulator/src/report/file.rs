//! Reads reports from files.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::schema_one::converted;
use super::summary::{SCHEMA_VERSION, Summary};
use super::sweep::SweepSummary;
use crate::file::{self, LoadError};

/// The version before [`SCHEMA_VERSION`], which is read as well.
const OLD_VERSION: u32 = 1;

/// A report that a subcommand wrote with `--json`.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A report of `run`, `replay`, `soak`, `conform` or `merge`.
    Run(Box<Summary>),
    /// A report of `sweep`.
    Sweep(Box<SweepSummary>),
}

/// The fields that tell which kind of report it is.
#[derive(Deserialize)]
struct Head {
    schema_version: u32,
    command: String,
}

impl Document {
    /// Reads the report in a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or does not hold a report.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        file::load(path, Self::parse)
    }

    /// Parses the text of a report. A report of schema 1 is converted.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let not_a_report = |error: serde_json::Error| format!("this is not a report: {error}");
        let head: Head = serde_json::from_str(text).map_err(not_a_report)?;
        if ![OLD_VERSION, SCHEMA_VERSION].contains(&head.schema_version) {
            return Err(format!(
                "its schema_version is {}; this program reads {OLD_VERSION} and {SCHEMA_VERSION}",
                head.schema_version
            ));
        }
        match head.command.as_str() {
            "sweep" => read(text, &head).map(Self::Sweep).map_err(not_a_report),
            "run" | "replay" | "soak" | "conform" => read(text, &head).map(Self::Run).map_err(not_a_report),
            other => {
                Err(format!("{other} does not write a report; expected run, replay, soak, conform or sweep"))
            }
        }
    }
}

/// Reads the report, whose first fields are `head`.
fn read<T: DeserializeOwned>(text: &str, head: &Head) -> serde_json::Result<T> {
    if head.schema_version == OLD_VERSION {
        serde_json::from_value(converted(serde_json::from_str(text)?))
    } else {
        serde_json::from_str(text)
    }
}

impl Summary {
    /// Reads the report of one run from a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds the report of a sweep or none at all.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        match Document::load(path)? {
            Document::Run(summary) => Ok(*summary),
            Document::Sweep(_) => {
                let sentence = "this is the report of a sweep, not of one run".to_owned();
                Err(LoadError::Mistake(path.to_owned(), sentence))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_a_report_is_refused_with_its_position() {
        for (text, words) in [
            ("", "this is not a report: EOF"),
            ("{\"schema_version\":2}", "missing field `command` at line 1"),
            (
                "{\"schema_version\":3,\"command\":\"run\"}",
                "its schema_version is 3; this program reads 1 and 2",
            ),
            (
                "{\"schema_version\":0,\"command\":\"run\"}",
                "its schema_version is 0; this program reads 1 and 2",
            ),
            ("{\"schema_version\":2,\"command\":\"list\"}", "list does not write a report; expected run,"),
            ("{\"schema_version\":2,\"command\":\"run\",\n\"seeds\":1}", "unknown field `seeds`, expected"),
            ("{\"schema_version\":2,\"command\":\"run\",\n\"seed\":1}", "expected a string at line 2"),
            ("{\"schema_version\":1,\"command\":\"run\",\n\"seed\":-1}", "expected a string"),
            ("{\"schema_version\":1,\"command\":\"sweep\",\n\"seed\":1}", "unknown field `seed`"),
        ] {
            let error = Document::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_report_from_before_a_field_was_added_is_read() {
        let text = r#"{"schema_version": 1, "command": "conform", "arm": "live", "scenario": "conform", "seed": 1,
            "clients": 1, "period_seconds": 2.0, "wall_seconds": 20.5, "cycles": 9, "deliveries": 120,
            "deliveries_per_second": 6.0, "verdict": "held", "guarantees": [{"id": "G1", "name": "Subscribed by default",
            "verdict": "held", "exercised": 3, "violations": 0, "evidence": []}], "violations": [], "races": {"close": 0,
            "connect": 0, "subscribe": 0, "unsubscribe": 0}, "coverage": [], "latency_ms": null, "metrics": null,
            "repeat": ""}"#;
        let Ok(Document::Run(summary)) = Document::parse(text) else { panic!("{:?}", Document::parse(text)) };
        assert_eq!((summary.guarantees[0].promise.as_str(), summary.insecure), ("", false));
        assert_eq!((summary.schema_version, summary.seed), (SCHEMA_VERSION, 1));
    }

    #[test]
    fn the_seeds_of_an_old_sweep_are_read_exactly() {
        let text = r#"{"schema_version": 1, "command": "sweep", "arm": "core", "scenario": "swarm", "clients": 1,
            "period_seconds": 2.0, "duration_seconds": 20.0, "from": 9007199254740993, "seeds": 1, "jobs": 1,
            "wall_seconds": 1.0, "seeds_per_second": 1.0, "events": 1, "events_per_second": 1.0, "deliveries": 1,
            "verdict": "violated", "guarantees": [], "races": {"close": 0, "connect": 0, "subscribe": 0,
            "unsubscribe": 0}, "coverage": [], "broken_promises": null, "failures": [{"seed": 18446744073709551615,
            "guarantees": [], "detail": ""}]}"#;
        let Ok(Document::Sweep(summary)) = Document::parse(text) else {
            panic!("{:?}", Document::parse(text))
        };
        assert_eq!((summary.from, summary.failures[0].seed), ((1 << 53) + 1, u64::MAX));
    }
}
