//! How large a script is.

use std::time::Duration;

use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::script::verb::Verb;

impl Script {
    /// How many clients do something in it.
    pub fn acting_clients(&self) -> usize {
        self.clients().len()
    }

    /// How many lines are commands: what clients do besides connecting.
    pub fn commands(&self) -> usize {
        let is_command = |line: &&ScriptLine| match line {
            ScriptLine::Client { verb, .. } => !matches!(verb, Verb::Connect(_)),
            ScriptLine::Server { .. } => false,
        };
        self.lines.iter().filter(is_command).count()
    }

    /// The clients that do something, in the order of their numbers.
    pub(super) fn clients(&self) -> Vec<u32> {
        let mut clients: Vec<u32> = self.lines.iter().filter_map(ScriptLine::client).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// What there is to be made smaller: lines, utterances, time.
    pub(super) fn weight(&self) -> (usize, usize, Duration) {
        let utterances = |line: &ScriptLine| match line {
            ScriptLine::Client { verb: Verb::Say(utterances), .. } => utterances.len(),
            _ => 0,
        };
        (self.lines.len(), self.lines.iter().map(utterances).sum(), self.scenario.duration)
    }
}
