//! A trial as a program: a command line, a report, an exit code.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;

use super::defaults::DEFAULTS;
use super::refusal::{Refusal, print};
use super::script::{self, Suspect};
use super::suspect;
use crate::arms::RunOptions;
use crate::arms::paused::{Service, VirtualClock};
use crate::exit::{self, Exit};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::{Palette, Run, Story, TextReport, ViolationReport};
use crate::scenario::recipe::{Overrides, Recipe, Source, parse_clients};
use crate::scenario::{Arm, Scenario};
use crate::stopwatch::clocked;
use crate::units::{parse_seed, parse_span};

/// The `main` function of a program that puts a server on trial: parses the command line, runs the trial and prints
/// the report.
///
/// `start` creates the server, as for [`Trial::of`](super::Trial::of). `command` is the command line that starts
/// the program; the report ends with it and the options that repeat the run.
///
/// Returns one of the exit codes of [`Exit`].
pub fn main<S: Service + 'static>(
    command: &str,
    start: impl Fn(&Scenario, VirtualClock) -> S + 'static,
) -> ExitCode {
    let start = Rc::new(start);
    let build = move |scenario: &Scenario| {
        let start = Rc::clone(&start);
        suspect::target(scenario, move |scenario, clock| start(scenario, clock))
    };
    match Options::parse().execute(Suspect { command, start: &build }) {
        Ok(verdict) => Exit::from(verdict).into(),
        Err(refusal) => {
            // If standard error fails, the error cannot be reported anywhere.
            drop(writeln!(io::stderr(), "error: {}", refusal.sentence));
            refusal.exit.into()
        }
    }
}

/// Puts a push server through hours of traffic on virtual time, and judges every frame
#[derive(Debug, Parser)]
#[command(
    after_help = exit::help(
        "Defaults: day with 100 clients for 2h, a push every 5m; a file has its own values",
        &[Exit::Held, Exit::Impossible, Exit::Violated, Exit::Unreadable]
    )
)]
struct Options {
    /// What the clients do: a name of `carillon-sim list`, or a TOML file (with a / in its name, or .toml at its end)
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<Source>,

    /// Number of clients, such as 500, 10k or 1m
    #[arg(long, value_name = "COUNT", value_parser = parse_clients)]
    clients: Option<u32>,

    /// Virtual time, such as 90s, 24h or 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    duration: Option<Duration>,

    /// Time between two pushes
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    period: Option<Duration>,

    /// Seed of the run: a number, or a commit hash
    #[arg(long, value_name = "SEED", value_parser = parse_seed, default_value = "1")]
    seed: u64,

    /// If a guarantee breaks, make the run small and write it to this file as a script
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    shrink: Option<PathBuf>,

    /// Make a violation of this guarantee small, such as G3, instead of the first violation
    #[arg(long, value_name = "GUARANTEE", requires = "shrink")]
    guarantee: Option<Guarantee>,

    /// Play this script instead of a scenario
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "clients", "duration", "period", "seed"])]
    replay: Option<PathBuf>,

    /// Explain the violation in the script, with client and server side by side
    #[arg(long, requires = "replay")]
    explain: bool,
}

impl Options {
    fn execute(&self, suspect: Suspect<'_>) -> Result<Verdict, Refusal> {
        match &self.replay {
            Some(file) if self.explain => script::explain(suspect, file),
            Some(file) => script::replay(suspect, file),
            None => self.judge(suspect),
        }
    }

    fn judge(&self, suspect: Suspect<'_>) -> Result<Verdict, Refusal> {
        let scenario = self.scenario()?;
        let (outcome, wall) =
            clocked(|| suspect::run(suspect.start, &scenario, self.seed, RunOptions::default()))?;
        let run = Run { arm: Arm::Paused, scenario: &scenario, seed: self.seed, wall };
        let repeat = run.repeat_as(suspect.command, &DEFAULTS, None);
        let mut report =
            TextReport { run, outcome: &outcome, palette: Palette::Plain }.repeated_by(&repeat).to_string();
        if let Some(first) = outcome.score.violations.first() {
            let violations = ViolationReport { outcome: &outcome, palette: Palette::Plain };
            let story = Story::told(first, &scenario, |options| {
                suspect::run(suspect.start, &scenario, self.seed, options)
            })?;
            report.push_str(&format!("\n{violations}\n{story}\nTo see it again:  {repeat}\n"));
        }
        print(&report)?;
        let verdict = Verdict::of_run(&outcome.score);
        match &self.shrink {
            Some(file) if verdict == Verdict::Violated => {
                let case =
                    script::Case { scenario: &scenario, seed: self.seed, repeat, guarantee: self.guarantee };
                script::make_small(suspect, case, file)?;
            }
            _ => {}
        }
        Ok(verdict)
    }

    fn scenario(&self) -> Result<Scenario, Refusal> {
        let overrides = Overrides { clients: self.clients, duration: self.duration, period: self.period };
        let recipe = Recipe::new(self.scenario.as_ref(), overrides, DEFAULTS)?;
        recipe.scenario(self.seed).map_err(|sentence| Refusal { exit: Exit::Usage, sentence })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_repeat_line_reads_back_as_the_run_that_it_repeats() {
        for arguments in [
            "trial --seed 1",
            "trial --scenario slow --seed 7",
            "trial --scenario swarm --clients 30 --for 1h --period 1m --seed 9",
        ] {
            let options = Options::try_parse_from(arguments.split(' ')).unwrap();
            let scenario = options.scenario().map_err(|refusal| refusal.sentence).unwrap();
            let run = Run { arm: Arm::Paused, scenario: &scenario, seed: options.seed, wall: Duration::ZERO };
            assert_eq!(run.repeat_as("trial", &DEFAULTS, None), arguments);
        }
    }
}
