//! The message of a failed test: the violations, the run made small, its explanation, and the command lines that
//! repeat it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::suspect::{self, NotSmall, Start};
use crate::arms::RunOptions;
use crate::hunt::explain::Explanation;
use crate::hunt::shrink::{NextSteps, Shrunk};
use crate::hunt::sweep::{Cause, FailedSeed, Totals};
use crate::report::{Palette, ViolationReport};
use crate::scenario::Scenario;
use crate::script::Script;
use crate::trace::Trace;
use crate::units::{format_span, quoted};

/// How to repeat a failure.
pub(super) struct Repeat {
    /// The command line that repeats the run or plays the script.
    line: String,
    /// The environment variable that names a script, the file for the script, and the command line of the test
    /// itself.
    script: Option<(&'static str, PathBuf, String)>,
}

impl Repeat {
    /// For a seed: `seed_variable=SEED` before the command line of this test.
    pub(super) fn of_seed(
        seed_variable: &str,
        script_variable: &'static str,
        seed: u64,
        folder: Option<PathBuf>,
    ) -> Self {
        let command = test_command();
        let name: String = test_name().unwrap_or("trial".to_owned()).replace("::", "-");
        let file = folder.unwrap_or_else(script_folder).join(format!("{name}-seed-{seed}.script"));
        Self {
            line: format!("{seed_variable}={seed} {command}"),
            script: Some((script_variable, file, command)),
        }
    }

    /// For a script that is played.
    pub(super) fn of_script(variable: &str, file: &Path) -> Self {
        let file = quoted(&file.display().to_string());
        Self { line: format!("{variable}={file} {}", test_command()), script: None }
    }
}

/// The failure of at least one seed.
pub(super) struct Failure<'a> {
    pub(super) start: &'a Start,
    /// The scenario of the first failed seed.
    pub(super) scenario: &'a Scenario,
    pub(super) totals: &'a Totals,
    pub(super) first: &'a FailedSeed,
}

impl Failure<'_> {
    /// The message of the failed test. The run is repeated to record it, so this may take seconds.
    pub(super) fn message(&self, repeat: &Repeat) -> String {
        let mut text = self.headline();
        match &self.first.cause {
            Cause::Crashed(sentence) => text.push_str(&format!("\n{sentence}\n")),
            Cause::Violated { .. } => text.push_str(&self.describe_violations(repeat)),
        }
        text.push_str(&format!("\nTo see it again:  {}\n", repeat.line));
        text
    }

    fn headline(&self) -> String {
        let (failed, seeds) = (self.totals.failures.len(), self.totals.seeds);
        let broken = self.totals.failing.iter().filter(|seeds| **seeds > 0).count();
        let what = match broken {
            0 => "the server could not be run to the end".to_owned(),
            1 => "the server broke a guarantee".to_owned(),
            several => format!("the server broke {several} guarantees"),
        };
        let Scenario { name, clients, duration, .. } = self.scenario;
        format!(
            "{what} in {failed} of {seeds} seeds of {name} ({clients} clients, {}); the first is seed {}\n",
            format_span(*duration),
            self.first.seed,
        )
    }

    fn describe_violations(&self, repeat: &Repeat) -> String {
        let outcome = match suspect::run(self.start, self.scenario, self.first.seed, RunOptions::default()) {
            Ok(outcome) => outcome,
            Err(error) => return format!("\nthe run could not be repeated: {error}\n"),
        };
        let report = ViolationReport { outcome: &outcome, palette: Palette::Plain };
        let small = suspect::make_small(self.start, self.scenario, self.first.seed, None);
        let rest = match (small, &repeat.script) {
            (Ok(shrunk), Some(script)) => self.describe_small(&shrunk, script, &repeat.line),
            (Ok(_), None) => String::new(),
            (Err(NotSmall::Io(error)), _) => format!("The run could not be made small: {error}\n"),
            (Err(NotSmall::NothingBroke), _) => {
                "A second run of the same seed held: something in the server does not depend on the seed, such as \
                 the system's clock or the order of a HashMap.\n"
                    .to_owned()
            }
            (Err(NotSmall::OnlyInTheRun), _) => {
                "The guarantee breaks in the run, but not when its script is played alone.\n".to_owned()
            }
        };
        format!("\n{report}\n{rest}")
    }

    fn describe_small(
        &self,
        shrunk: &Shrunk,
        (variable, file, command): &(&'static str, PathBuf, String),
        made_of: &str,
    ) -> String {
        let play = format!("{variable}={} {command}", quoted(&file.display().to_string()));
        let next = NextSteps { explain: play.clone(), play: play.clone(), made_of: made_of.to_owned() };
        let text = match shrunk.to_text(&next) {
            Ok(text) => text,
            Err(error) => return format!("The script cannot be written down: {error}\n"),
        };
        let written = match write(file, &text) {
            Ok(()) => format!("written to {}", file.display()),
            Err(error) => format!("which could not be written to {}: {error}", file.display()),
        };
        let story = explanation_of(self.start, &shrunk.script, &play).unwrap_or_default();
        format!("{story}\nThe run made small, {written}\n\n{text}\nTo play the script:  {play}\n")
    }
}

impl Failure<'_> {
    /// The message of a test that plays a script in which a guarantee breaks; `None` if none breaks.
    pub(super) fn of_script(start: &Start, script: &Script, repeat: &Repeat) -> Option<String> {
        let outcome = match suspect::play(start, script, Trace::default()) {
            Ok(outcome) => outcome,
            Err(error) => return Some(format!("the script cannot be played: {error}")),
        };
        if outcome.score.violations.is_empty() {
            return None;
        }
        let report = ViolationReport { outcome: &outcome, palette: Palette::Plain };
        let story = explanation_of(start, script, &repeat.line).unwrap_or_default();
        let line = &repeat.line;
        Some(format!("a guarantee breaks in the script\n\n{report}\n{story}\nTo see it again:  {line}\n"))
    }
}

/// The explanation of the violation in a script.
fn explanation_of(start: &Start, script: &Script, repeat: &str) -> Option<String> {
    let play = |trace| suspect::play(start, script, trace).expect("what ran once runs again");
    Explanation::of(script, repeat, play).map(|explanation| explanation.to_string())
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

/// The name of the test. The test harness names the thread of each test after it.
fn test_name() -> Option<String> {
    let name = thread::current().name()?.to_owned();
    (name != "main").then_some(name)
}

/// The command line that runs this test alone. Cargo states the name of the package in an environment variable.
fn test_command() -> String {
    let package = env::var("CARGO_PKG_NAME").map_or(String::new(), |name| format!(" -p {name}"));
    let test = test_name().map_or(String::new(), |name| format!(" {name} -- --exact"));
    format!("cargo test{package}{test}")
}

/// The folder `carillon` in Cargo's target folder, where this program is in `PROFILE/deps`; otherwise in the
/// system's temporary folder.
fn script_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let deps = program.ancestors().find(|folder| folder.ends_with("deps"));
    let target = deps.and_then(|deps| deps.parent()?.parent());
    target.map_or_else(env::temp_dir, Path::to_owned).join("carillon")
}
