//! The order in which a run is made small: what leaves out most comes first.

use std::time::Duration;

use super::search::Search;
use super::shrunk::Shrunk;
use super::{parts, plain, time};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::Script;
use crate::world::Outcome;

/// How long a person waits for it; most of what can be gained is gained in the first second.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Up to how many clients a script is easy to read.
const FEW_CLIENTS: usize = 5;

/// Up to how many commands it is.
const FEW_COMMANDS: usize = 10;

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
        // The same promise broken in another way is better than a script that is too long to read.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arms::{RunOptions, run_arm};
    use crate::scenario::Arm;
    use crate::scenario::Scenario;
    use crate::trace::Trace;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A day in the app under a judge who allows a right server less time than its shards differ by.
    fn accused() -> (Script, (Guarantee, Fault)) {
        let mut scenario = Scenario::day(40, 40 * MINUTE, 5 * MINUTE);
        scenario.bounds.push = Duration::ZERO;
        let options = RunOptions { records: true, ..RunOptions::default() };
        let outcome = run_arm(Arm::Core, &scenario, 1, options, |_| ()).unwrap();
        let script = outcome.script(&scenario, 1, Arm::Core).unwrap();
        let wanted = script.breaks.unwrap();
        (script, wanted)
    }

    fn play(script: &Script) -> Outcome {
        script.play(Trace::default()).unwrap()
    }

    #[test]
    fn whatever_makes_no_difference_is_left_out() {
        let (script, wanted) = accused();
        let shrunk = shrink(script, wanted, || false, play).unwrap();
        assert!(shrunk.is_smallest);
        assert_eq!((shrunk.script.acting_clients(), shrunk.script.commands()), (1, 0));
        assert_eq!(shrunk.script.scenario.duration, Duration::from_secs(301), "one push, in whole seconds");
        assert_eq!(shrunk.script.violation_in(&play(&shrunk.script).score), Some(&shrunk.violation));
        assert_eq!(shrunk.script.breaks, Some(wanted));
    }

    #[test]
    fn whoever_has_no_time_gets_what_there_is() {
        let (script, wanted) = accused();
        let mut left = 5;
        let should_stop = || {
            left -= 1;
            left == 0
        };
        let shrunk = shrink(script, wanted, should_stop, play).unwrap();
        assert!(!shrunk.is_smallest);
        assert_eq!(shrunk.runs, 5, "one to begin with, and the four that there was time for");
        assert!(shrunk.script.violation_in(&play(&shrunk.script).score).is_some());
    }

    #[test]
    fn what_did_not_break_cannot_be_made_small() {
        let (script, _) = accused();
        assert!(shrink(script, (Guarantee::G12, Fault::WrongClose), || false, play).is_none());
    }
}
