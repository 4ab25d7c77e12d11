//! A script and the violation in it, as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::entries::ViolationEntry;
use super::summary::SCHEMA_VERSION;
use crate::oracle::score::Violation;
use crate::oracle::verdict::Verdict;
use crate::scenario::file::Unwritable;
use crate::script::Script;

/// A violation and the script in which it occurs: the object that `shrink --json` and `explain --json` write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptSummary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand: `shrink` or `explain`.
    pub command: Cow<'static, str>,
    /// `held` or `violated`.
    pub verdict: Verdict,
    /// The violation, with its story if it is explained; `null` if no guarantee breaks.
    pub violation: Option<ViolationEntry>,
    /// The script in which it breaks, in the form that `replay` reads; `null` if no guarantee breaks.
    pub script: Option<String>,
    /// How many clients act in the script.
    pub clients: usize,
    /// How many commands those clients send.
    pub commands: usize,
    /// The command line that repeats it.
    pub repeat: String,
}

impl ScriptSummary {
    /// The summary if no guarantee broke. `repeat` is the command line that repeats it.
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

    /// The summary of a script in which `violation` occurs. `story` is its explanation as text.
    ///
    /// # Errors
    ///
    /// The scenario cannot be expressed in a file.
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
