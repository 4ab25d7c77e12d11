//! The order of the steps: the step that removes most comes first.

use std::time::Duration;

use super::search::Search;
use super::shrunk::Shrunk;
use super::{parts, plain, time};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::Script;
use crate::world::Outcome;

/// How long shrinking may take. Most of the gain comes in the first second.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The most clients of a script that is easy to read.
const FEW_CLIENTS: usize = 5;

/// The most commands of a script that is easy to read.
const FEW_COMMANDS: usize = 10;

/// Makes a run small in which `wanted` broke. `run` plays a script on a new server. `should_stop` is called before
/// each run; `true` ends the search with the smallest script so far.
///
/// Returns `None` if playing `recorded` does not break `wanted`: then the script does not contain the cause.
pub fn shrink(
    recorded: Script,
    wanted: (Guarantee, Fault),
    mut should_stop: impl FnMut() -> bool,
    mut run: impl FnMut(&Script) -> Outcome,
) -> Option<Shrunk> {
    let mut search = Search::start(recorded, wanted, &mut should_stop, &mut run)?;
    reduce(&mut search);
    if search.best.acting_clients() > FEW_CLIENTS || search.best.commands() > FEW_COMMANDS {
        // The same guarantee broken in another way is better than a script that is too long to read.
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

    /// A day of the app under a bound for pushes that is shorter than the difference between the shards of a
    /// correct server.
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
    fn parts_that_do_not_matter_are_removed() {
        let (script, wanted) = accused();
        let shrunk = shrink(script, wanted, || false, play).unwrap();
        assert!(shrunk.is_smallest);
        assert_eq!((shrunk.script.acting_clients(), shrunk.script.commands()), (1, 0));
        assert_eq!(shrunk.script.scenario.duration, Duration::from_secs(301), "one push, in whole seconds");
        assert_eq!(shrunk.script.violation_in(&play(&shrunk.script).score), Some(&shrunk.violation));
        assert_eq!(shrunk.script.breaks, Some(wanted));
    }

    #[test]
    fn without_time_left_the_smallest_script_so_far_is_returned() {
        let (script, wanted) = accused();
        let mut left = 5;
        let should_stop = || {
            left -= 1;
            left == 0
        };
        let shrunk = shrink(script, wanted, should_stop, play).unwrap();
        assert!(!shrunk.is_smallest);
        assert_eq!(shrunk.runs, 5, "the first run, and the four before the time was up");
        assert!(shrunk.script.violation_in(&play(&shrunk.script).score).is_some());
    }

    #[test]
    fn a_guarantee_that_did_not_break_cannot_be_shrunk() {
        let (script, _) = accused();
        assert!(shrink(script, (Guarantee::G12, Fault::WrongClose), || false, play).is_none());
    }
}
