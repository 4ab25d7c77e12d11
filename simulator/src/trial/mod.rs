//! A server of one's own on trial: a command line, a report, an exit code.

mod hunt;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;

use crate::arms::paused::{PausedTarget, Service, VirtualClock};
use crate::arms::{How, run_target};
use crate::exit::{self, Exit};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::{Palette, Run, Story, TextReport, ViolationReport};
use crate::rng::Rng;
use crate::scenario::recipe::{Defaults, Recipe, Source, Wishes, parse_clients};
use crate::scenario::{Arm, Scenario};
use crate::script::Script;
use crate::stopwatch::clocked;
use crate::trace::Trace;
use crate::units::{parse_seed, parse_span};
use crate::world::Outcome;

/// Small enough to be over in a second or two with a server that runs whole.
const DEFAULTS: Defaults = Defaults {
    scenario: Defaults::RUN.scenario,
    clients: 100,
    duration: Duration::from_secs(2 * 3600),
    period: Defaults::RUN.period,
};

/// The `main` of a program that puts a server on trial: runs what its command line asks for, and reports.
///
/// `start` is called inside a paused runtime, may spawn tasks, and returns what serves each connection. `command` is how
/// the program is started; the report ends with it, and with the options that repeat the run.
///
/// The exit code is one of [`Exit`].
pub fn main<S: Service + 'static>(
    command: &str,
    start: impl Fn(&Scenario, VirtualClock) -> S + 'static,
) -> ExitCode {
    let start = Rc::new(start);
    let build = |scenario: &Scenario| {
        let (terms, start) = (scenario.clone(), Rc::clone(&start));
        PausedTarget::new(scenario.wall_origin, move |clock| start(&terms, clock)).map(PausedTarget::foreign)
    };
    match Options::parse().execute(&Suspect { command, build: &build }) {
        Ok(verdict) => Exit::from(verdict).into(),
        Err(refusal) => {
            // There is no place left to report a failure to.
            drop(writeln!(io::stderr(), "error: {}", refusal.sentence));
            refusal.exit.into()
        }
    }
}

/// Puts a push server through hours of traffic on virtual time, and judges every frame
#[derive(Debug, Parser)]
#[command(
    after_help = exit::help("Unless told otherwise: day with 100 clients for 2h, a push every 5m; a file has its own values")
)]
struct Options {
    /// What the clients do: a name of `carillon-sim list`, or a TOML file (with a / in its name, or .toml at its end)
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<Source>,

    /// How many clients there are, such as 500, 10k or 1m
    #[arg(long, value_name = "COUNT", value_parser = parse_clients)]
    clients: Option<u32>,

    /// Virtual time, such as 90s, 24h or 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    duration: Option<Duration>,

    /// Time between two pushes
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    period: Option<Duration>,

    /// What decides the run: a number, or a commit hash
    #[arg(long, value_name = "SEED", value_parser = parse_seed, default_value = "1")]
    seed: u64,

    /// If a guarantee breaks, make the run small and write it to this file as a script
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    shrink: Option<PathBuf>,

    /// Make that guarantee's violation small, such as G3, and not the first of all
    #[arg(long, value_name = "GUARANTEE", requires = "shrink")]
    guarantee: Option<Guarantee>,

    /// Play this script instead of a scenario
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "clients", "duration", "period", "seed"])]
    replay: Option<PathBuf>,

    /// Tell why what breaks in the script does, side by side for client and server
    #[arg(long, requires = "replay")]
    explain: bool,
}

/// The server on trial.
struct Suspect<'a> {
    /// How the program is started that puts it there.
    command: &'a str,
    /// Starts one that is to keep its promises under a scenario, whose limits, times and zone it is to have.
    build: &'a dyn Fn(&Scenario) -> io::Result<PausedTarget>,
}

impl Suspect<'_> {
    /// One run, with a server that is started for it.
    fn run(&self, scenario: &Scenario, seed: u64, how: How) -> Result<Outcome, Refusal> {
        Ok(run_target(scenario, (self.build)(scenario)?, &Rng::new(seed), how, |_| ()))
    }

    /// One run of a script, with a server that is started for it.
    fn play(&self, script: &Script, trace: Trace) -> Result<Outcome, Refusal> {
        Ok(script.play_on((self.build)(&script.scenario)?, trace))
    }
}

/// Why there is no verdict.
#[derive(Debug)]
struct Refusal {
    exit: Exit,
    sentence: String,
}

impl Refusal {
    fn impossible(sentence: &str) -> Self {
        Self { exit: Exit::Impossible, sentence: sentence.to_owned() }
    }
}

impl Options {
    fn execute(&self, suspect: &Suspect<'_>) -> Result<Verdict, Refusal> {
        match &self.replay {
            Some(file) if self.explain => hunt::explain(suspect, file),
            Some(file) => hunt::replay(suspect, file),
            None => self.judge(suspect),
        }
    }

    fn judge(&self, suspect: &Suspect<'_>) -> Result<Verdict, Refusal> {
        let scenario = self.scenario()?;
        let (outcome, wall) = clocked(|| suspect.run(&scenario, self.seed, How::default()))?;
        let run = Run { arm: Arm::Paused, scenario: &scenario, seed: self.seed, wall };
        let repeat = run.repeat_as(suspect.command, &DEFAULTS, None);
        let mut report =
            TextReport { run, outcome: &outcome, palette: Palette::Plain }.repeated_by(&repeat).to_string();
        if let Some(first) = outcome.score.violations.first() {
            let violations = ViolationReport { outcome: &outcome, palette: Palette::Plain };
            let story = Story::told(first, &scenario, |how| suspect.run(&scenario, self.seed, how))?;
            report.push_str(&format!("\n{violations}\n{story}\nTo see it again:  {repeat}\n"));
        }
        print(&report)?;
        let verdict = Verdict::of_run(&outcome.score);
        match &self.shrink {
            Some(file) if verdict == Verdict::Violated => {
                let case =
                    hunt::Case { scenario: &scenario, seed: self.seed, repeat, guarantee: self.guarantee };
                hunt::make_small(suspect, case, file)?;
            }
            _ => {}
        }
        Ok(verdict)
    }

    fn scenario(&self) -> Result<Scenario, Refusal> {
        let wishes = Wishes { clients: self.clients, duration: self.duration, period: self.period };
        let recipe = Recipe::new(self.scenario.as_ref(), wishes, DEFAULTS)
            .map_err(|error| Refusal { exit: (&error).into(), sentence: error.to_string() })?;
        recipe.scenario(self.seed).map_err(|sentence| Refusal { exit: Exit::Usage, sentence })
    }
}

/// A reader who has seen enough is no error.
fn print(report: &str) -> Result<(), Refusal> {
    match io::stdout().lock().write_all(report.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { exit: Exit::Impossible, sentence: error.to_string() }
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
