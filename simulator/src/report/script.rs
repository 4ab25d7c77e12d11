//! A violation made small, for machines.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::entries::ViolationEntry;
use super::summary::SCHEMA_VERSION;
use crate::oracle::score::Violation;
use crate::oracle::verdict::Verdict;
use crate::scenario::file::Unwritable;
use crate::script::Script;

/// What broke, and the script in which it breaks: the object that `shrink --json` and `explain --json` write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptSummary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand: `shrink` or `explain`.
    pub command: Cow<'static, str>,
    /// `held` or `violated`.
    pub verdict: Verdict,
    /// What breaks, with its story if it is explained; `null` if nothing does.
    pub violation: Option<ViolationEntry>,
    /// The script in which it breaks, as `replay` reads it.
    pub script: Option<String>,
    /// How many clients do something in the script.
    pub clients: usize,
    /// How many commands they send.
    pub commands: usize,
    /// The command to paste that repeats it.
    pub repeat: String,
}

impl ScriptSummary {
    /// Nothing broke.
    pub fn held(command: &'static str, repeat: String) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            command: command.into(),
            verdict: Verdict::Held,
            violation: None,
            script: None,
            clients: 0,
            commands: 0,
            repeat,
        }
    }

    /// `violation` breaks in the script; `story` tells why.
    ///
    /// # Errors
    ///
    /// A scenario that a file cannot say.
    pub fn broken(
        command: &'static str,
        script: &Script,
        violation: &Violation,
        story: Option<String>,
        repeat: String,
    ) -> Result<Self, Unwritable> {
        Ok(Self {
            verdict: Verdict::Violated,
            violation: Some(ViolationEntry { story, ..ViolationEntry::new(violation) }),
            script: Some(script.to_text()?),
            clients: script.acting_clients(),
            commands: script.commands(),
            ..Self::held(command, repeat)
        })
    }
}
