//! `carillon-sim shrink`: a failing run, made small and written down as a script.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use carillon_simulator::explain::promise;
use carillon_simulator::report::{Run, ScriptSummary};
use carillon_simulator::run::How;
use carillon_simulator::shrink::{Shrunk, shrink};
use carillon_simulator::units::{format_span, parse_seed};
use carillon_simulator::{Fault, Guarantee, Outcome, Scenario, Script, Trace};
use clap::Args;
use indicatif::ProgressBar;

use super::choice::Choice;
use super::exit::{self, Exit};
use super::output::JsonOutput;
use super::progress::simulate;
use super::run::DEFAULTS;
use super::{Failure, terminal};

/// How long it may take; most of what can be gained is gained in the first second.
const BUDGET: Duration = Duration::from_secs(30);

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(
    "Unless told otherwise: day with 10k clients for 24h, a push every 5m; a file has its own values"
))]
pub(crate) struct Options {
    #[command(flatten)]
    choice: Choice,

    /// What decides the run, as the line that repeats it says
    #[arg(long, value_name = "SEED", value_parser = parse_seed)]
    seed: u64,

    /// Write the script to this file instead of printing it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs, shrinks, and writes the script.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let scenario = scenario(&options.choice, options.seed)?;
    let json = JsonOutput::open(options.json.as_deref())?;
    let repeat = run(&options.choice, &scenario, options.seed).repeat_line();
    let Some(shrunk) = shrink_seed(&options.choice, &scenario, options.seed)? else {
        if json.leaves_stdout() {
            terminal::print("nothing to shrink: no guarantee was violated\n")?;
        }
        json.write(&ScriptSummary::held("shrink", repeat))?;
        return Ok(Exit::Held);
    };
    let told = match &options.output {
        None => text(&shrunk, &repeat, Path::new("FILE"))?,
        Some(path) => {
            let text = text(&shrunk, &repeat, path)?;
            fs::write(path, text)
                .map_err(|error| Failure::Impossible(format!("cannot write {}: {error}", path.display())))?;
            summary(&shrunk, &scenario, path)
        }
    };
    if json.leaves_stdout() {
        terminal::print(&told)?;
    }
    let summary = ScriptSummary::broken("shrink", &shrunk.script, &shrunk.violation, None, repeat);
    json.write(&summary.map_err(|error| Failure::Impossible(error.to_string()))?)?;
    Ok(Exit::Violated)
}

/// The scenario that is asked for.
pub(super) fn scenario(choice: &Choice, seed: u64) -> Result<Scenario, Failure> {
    choice.recipe(&DEFAULTS)?.scenario(seed).map_err(Failure::Usage)
}

pub(super) fn run<'a>(choice: &Choice, scenario: &'a Scenario, seed: u64) -> Run<'a> {
    Run { arm: choice.arm, scenario, seed, wall: Duration::ZERO }
}

/// A small script in which the first guarantee breaks that breaks in this run; `None` if none does.
pub(super) fn shrink_seed(
    choice: &Choice,
    scenario: &Scenario,
    seed: u64,
) -> Result<Option<Shrunk>, Failure> {
    let how = How { records: true, ..How::default() };
    let outcome = simulate(&run(choice, scenario, seed), how, format!("{}, seed {seed}", scenario.name))?;
    let script = Script::recorded(scenario, seed, choice.arm, &outcome);
    let Some((script, wanted)) = script.and_then(|script| script.breaks.map(|wanted| (script, wanted)))
    else {
        return Ok(None);
    };
    let (guarantee, fault) = wanted;
    match within_budget(script, wanted) {
        Some(shrunk) => Ok(Some(shrunk)),
        None => Err(Failure::Impossible(format!(
            "{guarantee} ({}) breaks in the run, but not when its script is played alone",
            fault.name()
        ))),
    }
}

#[expect(clippy::disallowed_methods, reason = "a person waits for it: the budget is one of real time")]
fn within_budget(script: Script, wanted: (Guarantee, Fault)) -> Option<Shrunk> {
    let start = Instant::now();
    let bar = ProgressBar::new_spinner().with_message("making it small");
    let should_stop = || start.elapsed() >= BUDGET;
    let shrunk = shrink(script, wanted, should_stop, |script| {
        bar.set_message(format!(
            "making it small: {} clients, {} lines, {}",
            script.acting_clients(),
            script.lines.len(),
            format_span(script.scenario.duration)
        ));
        bar.tick();
        play(script)
    });
    bar.finish_and_clear();
    shrunk
}

fn play(script: &Script) -> Outcome {
    script.play(Trace::default()).expect("what ran with the limits of a server runs with easier ones")
}

/// The script, with a head that says what it is.
fn text(shrunk: &Shrunk, repeat: &str, file: &Path) -> Result<String, Failure> {
    let violation = &shrunk.violation;
    let (guarantee, file) = (violation.guarantee, file.display());
    let who =
        violation.client.map_or("the server as a whole".to_owned(), |client| format!("client {client}"));
    let script = shrunk.script.to_text().map_err(|error| Failure::Impossible(error.to_string()))?;
    let hurry = if shrunk.is_smallest { "" } else { "# There was no time to make it smaller still.\n" };
    Ok(format!(
        "# {guarantee} · {}: {}\n\
         # It breaks here, to {who} at {}: {}.\n\
         # {}\n\
         {hurry}#\n\
         # Play it:  cargo sim replay {file}\n\
         # See why:  cargo sim explain {file}\n\
         # Made of:  {repeat}\n\
         {script}",
        guarantee.name(),
        promise(guarantee),
        violation.at,
        violation.fault.name(),
        violation.detail.replace(char::is_control, " "),
    ))
}

fn summary(shrunk: &Shrunk, scenario: &Scenario, path: &Path) -> String {
    let (script, path) = (&shrunk.script, path.display());
    format!(
        "{} {}: {} clients × {} became {} × {}, {} commands, after {} runs\n\
         Play it:  cargo sim replay {path}\nSee why:  cargo sim explain {path}\n",
        shrunk.violation.guarantee,
        shrunk.violation.fault.name(),
        scenario.clients,
        format_span(scenario.duration),
        script.acting_clients(),
        format_span(script.scenario.duration),
        script.commands(),
        shrunk.runs,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use carillon_simulator::run::Arm;
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["carillon-sim", "shrink"].iter().chain(arguments);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Shrink(options) => options,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn it_takes_what_the_line_says_that_repeats_a_run() {
        let scenario =
            Scenario::named("swarm", 200, 120 * Duration::from_secs(60), Duration::from_secs(300), 7);
        let scenario = scenario.unwrap();
        let run = Run { arm: Arm::Paused, scenario: &scenario, seed: 7, wall: Duration::ZERO };
        let line = run.repeat_line();
        let arguments: Vec<_> = line.strip_prefix("cargo sim run ").unwrap().split(' ').collect();
        let options = parse(&arguments).unwrap();
        let parsed = super::scenario(&options.choice, options.seed).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{scenario:?}"));
    }

    #[test]
    fn without_a_seed_there_is_nothing_to_repeat() {
        assert_eq!(parse(&["--scenario", "day"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_head_of_a_script_is_a_comment() {
        let mut scenario = Scenario::day(4, Duration::from_secs(900), Duration::from_secs(300));
        scenario.bounds.push = Duration::ZERO;
        let how = How { records: true, ..How::default() };
        let outcome = carillon_simulator::run::run_arm(Arm::Core, &scenario, 1, how, |_| ()).unwrap();
        let script = Script::recorded(&scenario, 1, Arm::Core, &outcome).unwrap();
        let shrunk = shrink(script.clone(), script.breaks.unwrap(), || false, play).unwrap();
        let text = text(&shrunk, "cargo sim run", Path::new("late.script")).unwrap();
        assert!(text.starts_with("# G7 · On the grid: "), "{text}");
        assert!(text.contains("# Play it:  cargo sim replay late.script"), "{text}");
        let read: Script = text.parse().unwrap();
        assert_eq!(read.lines, shrunk.script.lines);
    }
}
