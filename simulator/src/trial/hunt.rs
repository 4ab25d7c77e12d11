//! What comes after a violation: the run made small, the script played again, the story told.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::arms::How;
use crate::hunt::explain::Explanation;
use crate::hunt::shrink::{NextSteps, PATIENCE, shrink};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::{Palette, Run, TextReport};
use crate::scenario::{Arm, Scenario};
use crate::script::Script;
use crate::stopwatch::clocked;
use crate::trace::Trace;

use super::{Refusal, Suspect, print};

/// A run in which a guarantee broke.
pub(super) struct Case<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    /// The line that repeats it.
    pub(super) repeat: String,
    /// The guarantee that matters; the first that breaks if nobody says.
    pub(super) guarantee: Option<Guarantee>,
}

/// Repeats a run, makes it small, and writes the script into a file.
pub(super) fn make_small(suspect: &Suspect<'_>, case: Case<'_>, file: &Path) -> Result<(), Refusal> {
    let Case { scenario, seed, repeat, guarantee } = case;
    let outcome = suspect.run(scenario, seed, How { records: true, ..How::default() })?;
    let script = outcome.script(scenario, seed, Arm::Paused);
    let script = match guarantee {
        Some(guarantee) => script.and_then(|script| script.about(guarantee, &outcome.score)),
        None => script,
    };
    let Some((script, wanted)) = script.and_then(|script| script.breaks.map(|wanted| (script, wanted)))
    else {
        let what = guarantee
            .map_or("no guarantee broke".to_owned(), |guarantee| format!("{guarantee} did not break"));
        return Err(Refusal::impossible(&format!("there is nothing to make small: {what}")));
    };
    // The first run of a script tells whether a runtime can be had; those that follow are like it.
    suspect.play(&script, Trace::default())?;
    let play = |script: &Script| suspect.play(script, Trace::default()).expect("what ran once runs again");
    let Some(shrunk) = shrink(script, wanted, deadline(), play) else {
        return Err(Refusal::impossible("it breaks in the run, but not when its script is played alone"));
    };
    let play = format!("{} --replay {}", suspect.command, file.display());
    let next = NextSteps { explain: format!("{play} --explain"), play, made_of: repeat };
    let text = shrunk.to_text(&next).map_err(|error| Refusal::impossible(&error.to_string()))?;
    fs::write(file, text)
        .map_err(|error| Refusal::impossible(&format!("cannot write {}: {error}", file.display())))?;
    print(&format!("\n{}", shrunk.summary(scenario, &next)))
}

/// Plays the script in a file, and reports.
pub(super) fn replay(suspect: &Suspect<'_>, file: &Path) -> Result<Verdict, Refusal> {
    let script = load(file)?;
    let (outcome, wall) = clocked(|| suspect.play(&script, Trace::default()))?;
    let run = Run { arm: Arm::Paused, scenario: &script.scenario, seed: script.seed, wall };
    let repeat = format!("{} --replay {}", suspect.command, file.display());
    let report =
        TextReport { run, outcome: &outcome, palette: Palette::Plain }.repeated_by(&repeat).to_string();
    let why = if outcome.score.violations.is_empty() {
        broken_promise(&script)
    } else {
        format!("\nTo see why:  {repeat} --explain\n")
    };
    print(&(report + &why))?;
    Ok(Verdict::of_run(&outcome.score))
}

/// Plays the script in a file, and tells why what breaks in it does.
pub(super) fn explain(suspect: &Suspect<'_>, file: &Path) -> Result<Verdict, Refusal> {
    let script = load(file)?;
    let mut first = Some(suspect.play(&script, Trace::default())?);
    let repeat = format!("{} --replay {}", suspect.command, file.display());
    let explanation = Explanation::of(&script, &repeat, |trace| match first.take() {
        Some(outcome) => outcome,
        None => suspect.play(&script, trace).expect("what ran once runs again"),
    });
    let Some(explanation) = explanation else {
        print("nothing to explain: no guarantee was violated\n")?;
        return Ok(Verdict::Held);
    };
    print(&format!("{explanation}\nTo see it again:  {repeat}\n"))?;
    Ok(Verdict::Violated)
}

fn broken_promise(script: &Script) -> String {
    match script.breaks {
        Some((guarantee, fault)) => {
            format!("\nBy its head {guarantee} breaks ({}); it did not.\n", fault.name())
        }
        None => String::new(),
    }
}

fn load(file: &Path) -> Result<Script, Refusal> {
    Script::load(file).map_err(|error| Refusal { exit: (&error).into(), sentence: error.to_string() })
}

#[expect(clippy::disallowed_methods, reason = "a person waits for it: the limit is one of real time")]
fn deadline() -> impl FnMut() -> bool {
    let start = Instant::now();
    move || start.elapsed() >= PATIENCE
}
