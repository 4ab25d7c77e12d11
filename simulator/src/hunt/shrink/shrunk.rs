//! A run made small: the file that holds it, and what became of the run that it was made of.

use crate::oracle::score::Violation;
use crate::scenario::Scenario;
use crate::scenario::file::Unwritable;
use crate::script::Script;
use crate::units::{format_instant, format_span};

/// A run made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left of it.
    pub script: Script,
    /// What breaks in it.
    pub violation: Violation,
    /// How many runs it took.
    pub runs: u32,
    /// Whether nothing more could be left out; else there was no time to try.
    pub is_smallest: bool,
}

/// The lines with which a person goes on.
#[derive(Clone, Debug)]
pub struct NextSteps {
    /// Plays the script.
    pub play: String,
    /// Tells its story.
    pub explain: String,
    /// Repeats the run that it was made of.
    pub made_of: String,
}

impl Shrunk {
    /// The text of a file that holds the script, under a head that says what breaks in it and how to go on.
    ///
    /// # Errors
    ///
    /// A scenario that a file cannot say.
    pub fn to_text(&self, next: &NextSteps) -> Result<String, Unwritable> {
        let violation = &self.violation;
        let who =
            violation.client.map_or("the server as a whole".to_owned(), |client| format!("client {client}"));
        let hurry = if self.is_smallest { "" } else { "# There was no time to make it smaller still.\n" };
        Ok(format!(
            "# {} · {}: {}\n\
             # It breaks here, to {who} at {}: {}.\n\
             # {}\n\
             {hurry}#\n\
             # Play it:  {}\n\
             # See why:  {}\n\
             # Made of:  {}\n\
             {}",
            violation.guarantee,
            violation.guarantee.name(),
            violation.guarantee.promise(),
            format_instant(violation.at),
            violation.fault.name(),
            violation.detail.replace(char::is_control, " "),
            next.play,
            next.explain,
            next.made_of,
            self.script.to_text()?,
        ))
    }

    /// What became of a run of this scenario.
    pub fn summary(&self, scenario: &Scenario, next: &NextSteps) -> String {
        format!(
            "{} {}: {} clients × {} became {} × {}, {} commands, after {} runs\n\
             Play it:  {}\nSee why:  {}\n",
            self.violation.guarantee,
            self.violation.fault.name(),
            scenario.clients,
            format_span(scenario.duration),
            self.script.acting_clients(),
            format_span(self.script.scenario.duration),
            self.script.commands(),
            self.runs,
            next.play,
            next.explain,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::arms::{RunOptions, run_arm};
    use crate::hunt::shrink::shrink;
    use crate::scenario::Arm;
    use crate::trace::Trace;

    use super::*;

    #[test]
    fn the_head_of_a_script_is_a_comment() {
        let mut scenario = Scenario::day(4, Duration::from_secs(900), Duration::from_secs(300));
        scenario.bounds.push = Duration::ZERO;
        let options = RunOptions { records: true, ..RunOptions::default() };
        let outcome = run_arm(Arm::Core, &scenario, 1, options, |_| ()).unwrap();
        let script = outcome.script(&scenario, 1, Arm::Core).unwrap();
        let play = |script: &Script| script.play(Trace::default()).unwrap();
        let shrunk = shrink(script.clone(), script.breaks.unwrap(), || false, play).unwrap();
        let next =
            NextSteps { play: "play late".into(), explain: "explain late".into(), made_of: "run".into() };
        let text = shrunk.to_text(&next).unwrap();
        assert!(text.starts_with("# G7 · On the grid: "), "{text}");
        assert!(
            text.contains("# Play it:  play late\n# See why:  explain late\n# Made of:  run\n"),
            "{text}"
        );
        let read: Script = text.parse().unwrap();
        assert_eq!(read.lines, shrunk.script.lines);
    }
}
