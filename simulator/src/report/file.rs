//! Reads reports from files.

use std::path::Path;

use serde::Deserialize;

use super::summary::{SCHEMA_VERSION, Summary};
use super::sweep::SweepSummary;
use crate::file::{self, LoadError};

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

    /// Parses the text of a report.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let not_a_report = |error: serde_json::Error| format!("this is not a report: {error}");
        let head: Head = serde_json::from_str(text).map_err(not_a_report)?;
        if head.schema_version != SCHEMA_VERSION {
            return Err(format!(
                "its schema_version is {}; this program reads {SCHEMA_VERSION}",
                head.schema_version
            ));
        }
        match head.command.as_str() {
            "sweep" => serde_json::from_str(text).map(Self::Sweep).map_err(not_a_report),
            "run" | "replay" | "soak" | "conform" => {
                serde_json::from_str(text).map(Self::Run).map_err(not_a_report)
            }
            other => {
                Err(format!("{other} does not write a report; expected run, replay, soak, conform or sweep"))
            }
        }
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
            ("{\"schema_version\":1}", "missing field `command` at line 1"),
            ("{\"schema_version\":9,\"command\":\"run\"}", "its schema_version is 9; this program reads 1"),
            ("{\"schema_version\":1,\"command\":\"list\"}", "list does not write a report; expected run,"),
            ("{\"schema_version\":1,\"command\":\"run\",\n\"seeds\":1}", "unknown field `seeds`"),
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
    }
}
