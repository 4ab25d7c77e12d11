//! Finds out what happened around a violation, by running the same seed again and looking at one client.

use carillon_simulator::report::{Run, Story, ViolationReport};
use carillon_simulator::run::How;
use carillon_simulator::{Outcome, Violation};

use super::{Failure, terminal};

/// What broke, the story of the first client to whom it happened, and what to do next; empty if all held.
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

/// The same, but for what to do next.
pub(crate) fn what_broke(outcome: &Outcome, story: Option<&str>) -> String {
    let Some(story) = story else { return String::new() };
    let violations = ViolationReport { outcome, palette: terminal::palette() };
    format!("\n{violations}\n{story}\n")
}

/// The story of the first violation; `None` if all held. `again` runs what was run once more.
pub(crate) fn of_first(
    run: &Run<'_>,
    outcome: &Outcome,
    again: impl FnOnce(How) -> Result<Outcome, Failure>,
) -> Result<Option<String>, Failure> {
    outcome.score.violations.first().map(|first| story_of(run, first, again)).transpose()
}

fn story_of(
    run: &Run<'_>,
    violation: &Violation,
    again: impl FnOnce(How) -> Result<Outcome, Failure>,
) -> Result<String, Failure> {
    let story = Story::new(violation, run.scenario);
    let how = How { trace: story.trace(), stops_at: Some(story.end()), ..How::default() };
    if again(how)?.score.violations.first() == Some(violation) {
        Ok(story.to_string())
    } else {
        let cause =
            "the same seed went another way the second time, so the server under test is not deterministic";
        Ok(format!("No story: {cause}.\n"))
    }
}
