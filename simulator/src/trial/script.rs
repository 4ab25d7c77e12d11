//! What the program does with scripts: writes one for a failed run, plays one, explains one.

use std::fs;
use std::path::Path;

use super::refusal::{Refusal, print};
use super::suspect::{self, NotSmall, Start};
use crate::hunt::explain::Explanation;
use crate::hunt::shrink::NextSteps;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::{Palette, Run, TextReport};
use crate::scenario::{Arm, Scenario};
use crate::script::Script;
use crate::stopwatch::clocked;
use crate::trace::Trace;

/// The server on trial, and the command line of its program.
#[derive(Clone, Copy)]
pub(super) struct Suspect<'a> {
    pub(super) command: &'a str,
    pub(super) start: &'a Start,
}

/// A run in which a guarantee broke.
pub(super) struct Case<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    /// The command line that repeats it.
    pub(super) repeat: String,
    /// The guarantee whose violation is made small; `None` for the first violation.
    pub(super) guarantee: Option<Guarantee>,
}

/// Repeats a run, makes it small, and writes the script to a file.
pub(super) fn make_small(suspect: Suspect<'_>, case: Case<'_>, file: &Path) -> Result<(), Refusal> {
    let Case { scenario, seed, repeat, guarantee } = case;
    let shrunk =
        suspect::make_small(suspect.start, scenario, seed, guarantee).map_err(|error| match error {
            NotSmall::Io(error) => error.into(),
            NotSmall::NothingBroke => {
                let what = guarantee.map_or("no guarantee broke".to_owned(), |guarantee| {
                    format!("{guarantee} did not break")
                });
                Refusal::impossible(&format!("there is no violation to make small: {what}"))
            }
            NotSmall::OnlyInTheRun => Refusal::impossible(
                &"the guarantee breaks in the run, but not when its script is played alone",
            ),
        })?;
    let play = format!("{} --replay {}", suspect.command, file.display());
    let next = NextSteps { explain: format!("{play} --explain"), play, made_of: repeat };
    let text = shrunk.to_text(&next).map_err(|error| Refusal::impossible(&error))?;
    fs::write(file, text)
        .map_err(|error| Refusal::impossible(&format!("cannot write {}: {error}", file.display())))?;
    print(&format!("\n{}", shrunk.summary(scenario, &next)))
}

/// Plays the script in a file, and prints the report.
pub(super) fn replay(suspect: Suspect<'_>, file: &Path) -> Result<Verdict, Refusal> {
    let script = Script::load(file)?;
    let (outcome, wall) = clocked(|| suspect::play(suspect.start, &script, Trace::default()))?;
    let run = Run { arm: Arm::Paused, scenario: &script.scenario, seed: script.seed, wall };
    let repeat = format!("{} --replay {}", suspect.command, file.display());
    let report =
        TextReport { run, outcome: &outcome, palette: Palette::Plain }.repeated_by(&repeat).to_string();
    let why = if outcome.score.violations.is_empty() {
        unbroken(&script)
    } else {
        format!("\nTo see why:  {repeat} --explain\n")
    };
    print(&(report + &why))?;
    Ok(Verdict::of_run(&outcome.score))
}

/// Plays the script in a file, and explains the violation in it.
pub(super) fn explain(suspect: Suspect<'_>, file: &Path) -> Result<Verdict, Refusal> {
    let script = Script::load(file)?;
    let mut first = Some(suspect::play(suspect.start, &script, Trace::default())?);
    let repeat = format!("{} --replay {}", suspect.command, file.display());
    let explanation = Explanation::of(&script, &repeat, |trace| match first.take() {
        Some(outcome) => outcome,
        None => suspect::play(suspect.start, &script, trace).expect("what ran once runs again"),
    });
    let Some(explanation) = explanation else {
        print("nothing to explain: no guarantee was violated\n")?;
        return Ok(Verdict::Held);
    };
    print(&format!("{explanation}\nTo see it again:  {repeat}\n"))?;
    Ok(Verdict::Violated)
}

/// The last line for a script in which no guarantee breaks.
fn unbroken(script: &Script) -> String {
    match script.breaks {
        Some((guarantee, fault)) => {
            format!("\nThe head of the script says that {guarantee} breaks ({}); it did not.\n", fault.name())
        }
        None => String::new(),
    }
}
