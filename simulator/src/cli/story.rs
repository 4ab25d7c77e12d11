//! Finds out what happened around a violation, by running the same seed again and looking at one client.

use carillon_simulator::report::{Run, Story, ViolationReport};
use carillon_simulator::run::How;
use carillon_simulator::{Outcome, Violation};

use super::progress::simulate;
use super::{Failure, terminal};

/// What broke, the story of the first client to whom it happened, and how to see it again; empty if all held.
pub(crate) fn tell(run: &Run<'_>, outcome: &Outcome) -> Result<String, Failure> {
    let Some(first) = outcome.score.violations.first() else {
        return Ok(String::new());
    };
    let violations = ViolationReport { outcome, palette: terminal::palette() };
    let story = story_of(run, first)?;
    Ok(format!("\n{violations}\n{story}\nTo see it again:  {}\n", run.repeat_line()))
}

fn story_of(run: &Run<'_>, violation: &Violation) -> Result<String, Failure> {
    let story = Story::new(violation, run.scenario);
    let how = How { trace: story.trace(), stops_at: Some(story.end()), ..How::default() };
    let again = simulate(run, how, "once more, for the story".to_owned())?;
    if again.score.violations.first() == Some(violation) {
        Ok(story.to_string())
    } else {
        let cause =
            "the same seed went another way the second time, so the server under test is not deterministic";
        Ok(format!("No story: {cause}.\n"))
    }
}
