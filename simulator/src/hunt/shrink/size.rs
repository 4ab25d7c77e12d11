//! The size of a script.

use std::time::Duration;

use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::script::verb::Verb;

impl Script {
    /// How many clients act in the script.
    pub fn acting_clients(&self) -> usize {
        self.clients().len()
    }

    /// How many lines are commands: everything that clients do except connecting.
    pub fn commands(&self) -> usize {
        let is_command = |line: &&ScriptLine| match line {
            ScriptLine::Client { verb, .. } => !matches!(verb, Verb::Connect(_)),
            ScriptLine::Server { .. } => false,
        };
        self.lines.iter().filter(is_command).count()
    }

    /// The clients that act, in ascending order.
    pub(super) fn clients(&self) -> Vec<u32> {
        let mut clients: Vec<u32> = self.lines.iter().filter_map(ScriptLine::client).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// The size that shrinking reduces: lines, utterances, time.
    pub(super) fn weight(&self) -> (usize, usize, Duration) {
        let utterances = |line: &ScriptLine| match line {
            ScriptLine::Client { verb: Verb::Say(utterances), .. } => utterances.len(),
            _ => 0,
        };
        (self.lines.len(), self.lines.iter().map(utterances).sum(), self.scenario.duration)
    }
}
