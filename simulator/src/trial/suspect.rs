//! The server on trial: started anew for each run and for each script.

use std::io;

use crate::arms::paused::{PausedTarget, Service, VirtualClock};
use crate::arms::{RunOptions, run_target};
use crate::hunt::shrink::{PATIENCE, Shrunk, shrink};
use crate::oracle::guarantee::Guarantee;
use crate::rng::Rng;
use crate::scenario::{Arm, Scenario};
use crate::script::Script;
use crate::stopwatch::deadline;
use crate::trace::Trace;
use crate::world::Outcome;

/// Starts a server for a scenario, whose limits, times and zone the server must use.
pub(super) type Start = dyn Fn(&Scenario) -> io::Result<PausedTarget>;

/// A target from `start`: a third-party server in its own runtime.
pub(super) fn target<S: Service + 'static>(
    scenario: &Scenario,
    start: impl Fn(&Scenario, VirtualClock) -> S + 'static,
) -> io::Result<PausedTarget> {
    let terms = scenario.clone();
    PausedTarget::new(scenario.wall_origin, move |clock| start(&terms, clock)).map(PausedTarget::foreign)
}

/// Runs the scenario once with a new server.
pub(super) fn run(start: &Start, scenario: &Scenario, seed: u64, options: RunOptions) -> io::Result<Outcome> {
    Ok(run_target(scenario, start(scenario)?, &Rng::new(seed), options, |_| ()))
}

/// Plays the script once with a new server.
pub(super) fn play(start: &Start, script: &Script, trace: Trace) -> io::Result<Outcome> {
    Ok(script.play_on(start(&script.scenario)?, trace))
}

/// Why a run could not be made small.
#[derive(Debug)]
pub(super) enum NotSmall {
    /// No runtime could be created.
    Io(io::Error),
    /// No guarantee broke in the run, or not the given one.
    NothingBroke,
    /// The guarantee breaks in the run, but not when its script is played alone.
    OnlyInTheRun,
}

/// Repeats a run and makes a violation of `guarantee` small; without a `guarantee`, the first violation.
pub(super) fn make_small(
    start: &Start,
    scenario: &Scenario,
    seed: u64,
    guarantee: Option<Guarantee>,
) -> Result<Shrunk, NotSmall> {
    let options = RunOptions { records: true, ..RunOptions::default() };
    let outcome = run(start, scenario, seed, options).map_err(NotSmall::Io)?;
    let script = outcome.script(scenario, seed, Arm::Paused);
    let script = match guarantee {
        Some(guarantee) => script.and_then(|script| script.about(guarantee, &outcome.score)),
        None => script,
    };
    let script = script.ok_or(NotSmall::NothingBroke)?;
    let wanted = script.breaks.ok_or(NotSmall::NothingBroke)?;
    // The first run of the script shows whether a runtime can be created; the later ones are assumed to succeed.
    play(start, &script, Trace::default()).map_err(NotSmall::Io)?;
    let again = |script: &Script| play(start, script, Trace::default()).expect("what ran once runs again");
    shrink(script, wanted, deadline(PATIENCE), again).ok_or(NotSmall::OnlyInTheRun)
}
