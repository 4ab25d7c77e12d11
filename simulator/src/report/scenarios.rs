//! The list of built-in scenarios, as JSON.

use serde::{Deserialize, Serialize};

use super::summary::SCHEMA_VERSION;
use crate::scenario::Scenario;

/// The built-in scenarios: the object that `list --json` writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioList {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand, `list`.
    pub command: String,
    /// The scenarios, in the order of their names.
    pub scenarios: Vec<ScenarioEntry>,
}

/// One built-in scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioEntry {
    /// The name that `--scenario` accepts.
    pub name: String,
    /// What the scenario tests, in a few words.
    pub subject: String,
}

impl ScenarioList {
    /// The list of all built-in scenarios.
    pub fn built_in() -> Self {
        let entry =
            |(name, subject): (&str, &str)| ScenarioEntry { name: name.into(), subject: subject.into() };
        let scenarios = Scenario::BUILT_IN.map(entry).into();
        Self { schema_version: SCHEMA_VERSION, command: "list".to_owned(), scenarios }
    }
}
