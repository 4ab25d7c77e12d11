//! The server on trial: started anew for each run, and for each script that is played.

use std::io;
use std::time::Instant;

use crate::arms::paused::{PausedTarget, Service, VirtualClock};
use crate::arms::{RunOptions, run_target};
use crate::hunt::shrink::{PATIENCE, Shrunk, shrink};
use crate::oracle::guarantee::Guarantee;
use crate::rng::Rng;
use crate::scenario::{Arm, Scenario};
use crate::script::Script;
use crate::trace::Trace;
use crate::world::Outcome;

/// Starts a server that is to keep its promises under a scenario, whose limits, times and zone it is to have.
pub(super) type Start = dyn Fn(&Scenario) -> io::Result<PausedTarget>;

/// A target that `start` makes: a third-party server, in a runtime of its own.
pub(super) fn target<S: Service + 'static>(
    scenario: &Scenario,
    start: impl Fn(&Scenario, VirtualClock) -> S + 'static,
) -> io::Result<PausedTarget> {
    let terms = scenario.clone();
    PausedTarget::new(scenario.wall_origin, move |clock| start(&terms, clock)).map(PausedTarget::foreign)
}

/// One run, with a server that is started for it.
pub(super) fn run(start: &Start, scenario: &Scenario, seed: u64, options: RunOptions) -> io::Result<Outcome> {
    Ok(run_target(scenario, start(scenario)?, &Rng::new(seed), options, |_| ()))
}

/// One run of a script, with a server that is started for it.
pub(super) fn play(start: &Start, script: &Script, trace: Trace) -> io::Result<Outcome> {
    Ok(script.play_on(start(&script.scenario)?, trace))
}

/// Why a run could not be made small.
#[derive(Debug)]
pub(super) enum NotSmall {
    /// The system has no runtime left.
    Io(io::Error),
    /// Nothing broke in it, or not this guarantee.
    NothingBroke,
    /// It breaks in the run, but not when its script is played alone.
    OnlyInTheRun,
}

/// Repeats a run and makes it small. Without a `guarantee` the first that breaks is the one that matters.
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
    // The first run of a script tells whether a runtime can be had; those that follow are like it.
    play(start, &script, Trace::default()).map_err(NotSmall::Io)?;
    let again = |script: &Script| play(start, script, Trace::default()).expect("what ran once runs again");
    shrink(script, wanted, deadline(), again).ok_or(NotSmall::OnlyInTheRun)
}

#[expect(clippy::disallowed_methods, reason = "a person waits for it: the limit is one of real time")]
fn deadline() -> impl FnMut() -> bool {
    let start = Instant::now();
    move || start.elapsed() >= PATIENCE
}
