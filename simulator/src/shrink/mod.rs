//! Makes a failing run small: fewer clients, less time, fewer commands, plainer values, while the same promise breaks.
//!
//! | file | subject |
//! |---|---|
//! | `search.rs` | the smallest script so far, and whether another one breaks the same promise |
//! | `parts.rs` | delta debugging over clients, connections, lines and utterances |
//! | `time.rs` | empty hours cut out, an earlier shutdown |
//! | `plain.rs` | values that a person would have chosen |

mod parts;
mod plain;
mod search;
mod time;

use crate::guarantee::Guarantee;
use crate::score::{Fault, Violation};
use crate::script::ScriptLine;
use crate::script_file::Script;
use crate::verb::Verb;
use crate::world::Outcome;

use search::Search;

/// Up to how many clients a script is easy to read.
const FEW_CLIENTS: usize = 5;

/// Up to how many commands it is.
const FEW_COMMANDS: usize = 10;

/// A run made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left of it.
    pub script: Script,
    /// What breaks in it.
    pub violation: Violation,
    /// How many runs it took.
    pub runs: u32,
    /// Whether nothing more could be left out; else there was no time to try.
    pub is_smallest: bool,
}

/// Makes a run small in which `wanted` broke. `run` plays a script on a new server; `should_stop` is asked before each
/// run whether there is time for it.
///
/// `None` if the script alone breaks nothing of the kind: then it does not hold what made the difference.
pub fn shrink(
    recorded: Script,
    wanted: (Guarantee, Fault),
    mut should_stop: impl FnMut() -> bool,
    mut run: impl FnMut(&Script) -> Outcome,
) -> Option<Shrunk> {
    let mut search = Search::start(recorded, wanted, &mut should_stop, &mut run)?;
    reduce(&mut search);
    if search.best.acting_clients() > FEW_CLIENTS || search.best.commands() > FEW_COMMANDS {
        // The same promise broken in another way is better than a script that nobody can read.
        search.accepts_any_fault = true;
        reduce(&mut search);
    }
    Some(search.finish())
}

fn reduce(search: &mut Search<'_>) {
    time::drain_earlier(search);
    parts::clients(search);
    plain::renumber(search);
    while !search.is_stopped {
        let before = search.best.weight();
        parts::server_verbs(search);
        parts::clients(search);
        parts::connections(search);
        time::skip_idle(search);
        parts::lines(search);
        parts::utterances(search);
        plain::simplify(search);
        if search.best.weight() == before {
            break;
        }
    }
}

impl Script {
    /// How many clients do something in it.
    pub fn acting_clients(&self) -> usize {
        self.clients().len()
    }

    /// How many lines are commands: what clients do besides connecting.
    pub fn commands(&self) -> usize {
        let is_command = |line: &&ScriptLine| matches!(line, ScriptLine::Client { verb, .. } if !matches!(verb, Verb::Connect(_)));
        self.lines.iter().filter(is_command).count()
    }

    /// The clients that do something, in the order of their numbers.
    fn clients(&self) -> Vec<u32> {
        let mut clients: Vec<u32> = self.lines.iter().filter_map(ScriptLine::client).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// What there is to be made smaller: lines, utterances, time.
    fn weight(&self) -> (usize, usize, std::time::Duration) {
        let utterances = |line: &ScriptLine| match line {
            ScriptLine::Client { verb: Verb::Say(utterances), .. } => utterances.len(),
            _ => 0,
        };
        (self.lines.len(), self.lines.iter().map(utterances).sum(), self.scenario.duration)
    }
}
