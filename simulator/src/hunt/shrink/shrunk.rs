//! A run made small: its file, and a summary.

use crate::oracle::score::Violation;
use crate::scenario::Scenario;
use crate::scenario::file::Unwritable;
use crate::script::Script;
use crate::units::{format_instant, format_span};

/// The result of shrinking a run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest script that was found.
    pub script: Script,
    /// The violation in that script.
    pub violation: Violation,
    /// How many runs the search took.
    pub runs: u32,
    /// Whether no further part can be removed; `false` if the time was up before that was known.
    pub is_smallest: bool,
}

/// The command lines that a person needs next.
#[derive(Clone, Debug)]
pub struct NextSteps {
    /// Plays the script.
    pub play: String,
    /// Explains the violation in the script.
    pub explain: String,
    /// Repeats the original run.
    pub made_of: String,
}

impl Shrunk {
    /// The text of a script file. Its head says in comments what breaks, and how to play and explain it.
    ///
    /// # Errors
    ///
    /// A scenario that a file cannot express.
    pub fn to_text(&self, next: &NextSteps) -> Result<String, Unwritable> {
        let violation = &self.violation;
        let subject =
            violation.client.map_or("the server as a whole".to_owned(), |client| format!("client {client}"));
        let hurry =
            if self.is_smallest { "" } else { "# The time was up before it could be made smaller.\n" };
        Ok(format!(
            "# {} · {}: {}\n\
             # It breaks here, to {subject} at {}: {}.\n\
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

    /// A summary for the terminal: the size of the original run and of the script, and what to do next. `scenario`
    /// is that of the original run.
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
