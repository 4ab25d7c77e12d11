//! Finds out what happened around a violation, by running the same seed again and looking at one client.

use carillon_simulator::Outcome;
use carillon_simulator::report::{Run, Story, ViolationReport};
use carillon_simulator::run::How;

use super::progress::simulate;
use super::{Failure, terminal};

/// What broke, the story of the first client to whom it happened, and what to do next; empty if all held.
pub(crate) fn tell(run: &Run<'_>, outcome: &Outcome) -> Result<String, Failure> {
    let again = |how| simulate(run, how, "once more, for the story".to_owned());
    let story = tell_with(run, outcome, again)?;
    if story.is_empty() {
        return Ok(story);
    }
    let repeat = run.repeat_line();
    let [shrink, explain] =
        ["shrink", "explain"].map(|name| repeat.replacen("sim run", &format!("sim {name}"), 1));
    Ok(format!(
        "{story}To see it again:   {repeat}\nTo make it small:  {shrink}\nTo see why:        {explain}\n"
    ))
}

/// The same, but for what to do next; `again` runs what was run once more.
pub(crate) fn tell_with(
    run: &Run<'_>,
    outcome: &Outcome,
    again: impl FnOnce(How) -> Result<Outcome, Failure>,
) -> Result<String, Failure> {
    let Some(first) = outcome.score.violations.first() else {
        return Ok(String::new());
    };
    let violations = ViolationReport { outcome, palette: terminal::palette() };
    let story = Story::told(first, run.scenario, again)?;
    Ok(format!("\n{violations}\n{story}\n"))
}
