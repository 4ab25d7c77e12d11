//! The story of a violation: the same seed runs again, and the trace of one client is recorded.

use carillon_simulator::Outcome;
use carillon_simulator::RunOptions;
use carillon_simulator::report::{Run, Story, ViolationReport};

use super::failure::Failure;
use super::terminal;

/// The violations, the story of the first client that is affected, and what to do next; empty if all guarantees held.
pub(crate) fn tell(run: &Run<'_>, outcome: &Outcome, story: Option<&str>) -> String {
    let broken = what_broke(outcome, story);
    if broken.is_empty() {
        return broken;
    }
    let repeat = run.repeat_line();
    let [shrink, explain] =
        ["shrink", "explain"].map(|name| repeat.replacen("sim run", &format!("sim {name}"), 1));
    format!(
        "{broken}To see it again:   {repeat}\nTo make it small:  {shrink}\nTo see why:        {explain}\n"
    )
}

/// The same without what to do next.
pub(crate) fn what_broke(outcome: &Outcome, story: Option<&str>) -> String {
    let Some(story) = story else { return String::new() };
    let violations = ViolationReport { outcome, palette: terminal::palette() };
    format!("\n{violations}\n{story}\n")
}

/// The story of the first violation; `None` if all guarantees held. `again` repeats the run.
pub(crate) fn of_first(
    run: &Run<'_>,
    outcome: &Outcome,
    again: impl FnOnce(RunOptions) -> Result<Outcome, Failure>,
) -> Result<Option<String>, Failure> {
    let Some(first) = outcome.score.violations.first() else { return Ok(None) };
    Story::told(first, run.scenario, again).map(Some)
}
