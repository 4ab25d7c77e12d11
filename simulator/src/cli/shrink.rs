//! `carillon-sim shrink`: shrinks a failing run and writes it as a script.

use std::path::{Path, PathBuf};

use carillon_simulator::RunOptions;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::hunt::shrink::{NextSteps, PATIENCE, Shrunk, shrink};
use carillon_simulator::report::ScriptSummary;
use carillon_simulator::stopwatch::deadline;
use carillon_simulator::units::{format_span, parse_seed};
use carillon_simulator::{Fault, Guarantee, Outcome, Scenario, Script, Trace};
use clap::Args;
use indicatif::ProgressBar;

use super::failure::Failure;
use super::output::{JsonOutput, write_file};
use super::progress::simulate;
use super::scenario_options::{DEFAULTS_OF_RUN, Defaults, ScenarioOptions};
use super::terminal;

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Violated, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(DEFAULTS_OF_RUN, ENDS))]
pub(crate) struct Options {
    #[command(flatten)]
    scenario: ScenarioOptions,

    /// The seed, which decides the run; the repeat line of the run has it
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
    let scenario = options.scenario.scenario(&Defaults::RUN, options.seed)?;
    let json = JsonOutput::open(options.json.as_deref())?;
    let repeat = options.scenario.run(&scenario, options.seed).repeat_line();
    let Some(shrunk) = shrink_seed(&options.scenario, &scenario, options.seed)? else {
        let sentence = "nothing to shrink: no guarantee was violated\n";
        json.report(&sentence, &ScriptSummary::held("shrink", repeat))?;
        return Ok(Exit::Held);
    };
    let told = match &options.output {
        None => text(&shrunk, &next_steps(Path::new("FILE"), repeat.clone()))?,
        Some(path) => {
            let next = next_steps(path, repeat.clone());
            write_file(path, text(&shrunk, &next)?)?;
            shrunk.summary(&scenario, &next)
        }
    };
    if json.leaves_stdout() {
        terminal::print(&told)?;
    }
    let summary = ScriptSummary::broken("shrink", &shrunk.script, &shrunk.violation, None, repeat);
    json.write(&summary.map_err(Failure::impossible)?)?;
    Ok(Exit::Violated)
}

/// A small script that violates the same guarantee as this run does first; `None` if the run violates none.
pub(super) fn shrink_seed(
    chosen: &ScenarioOptions,
    scenario: &Scenario,
    seed: u64,
) -> Result<Option<Shrunk>, Failure> {
    let options = RunOptions { records: true, ..RunOptions::default() };
    let outcome = simulate(&chosen.run(scenario, seed), options, format!("{}, seed {seed}", scenario.name))?;
    let script = outcome.script(scenario, seed, chosen.arm);
    let Some((script, wanted)) = script.and_then(|script| script.breaks.map(|wanted| (script, wanted)))
    else {
        return Ok(None);
    };
    let (guarantee, fault) = wanted;
    match within_budget(script, wanted) {
        Some(shrunk) => Ok(Some(shrunk)),
        None => Err(Failure::Impossible(format!(
            "{guarantee} ({}) breaks in the run, but not when its script is played",
            fault.name()
        ))),
    }
}

fn within_budget(script: Script, wanted: (Guarantee, Fault)) -> Option<Shrunk> {
    let bar = ProgressBar::new_spinner().with_message("shrinking");
    let shrunk = shrink(script, wanted, deadline(PATIENCE), |script| {
        bar.set_message(format!(
            "shrinking: {} clients, {} lines, {}",
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
    script.play(Trace::default()).expect("a script that ran with tighter limits runs with looser ones")
}

/// The commands that play and explain the script in this file.
fn next_steps(path: &Path, repeat: String) -> NextSteps {
    let file = path.display();
    NextSteps {
        play: format!("cargo sim replay {file}"),
        explain: format!("cargo sim explain {file}"),
        made_of: repeat,
    }
}

fn text(shrunk: &Shrunk, next: &NextSteps) -> Result<String, Failure> {
    shrunk.to_text(next).map_err(Failure::impossible)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use carillon_simulator::Arm;
    use carillon_simulator::report::Run;

    use super::*;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("shrink", arguments)
    }

    #[test]
    fn the_arguments_of_a_repeat_line_give_the_same_scenario() {
        let scenario =
            Scenario::named("swarm", 200, 120 * Duration::from_secs(60), Duration::from_secs(300), 7);
        let scenario = scenario.unwrap();
        let run = Run { arm: Arm::Paused, scenario: &scenario, seed: 7, wall: Duration::ZERO };
        let line = run.repeat_line();
        let arguments: Vec<_> = line.strip_prefix("cargo sim run ").unwrap().split(' ').collect();
        let options = parse(&arguments).unwrap();
        let parsed = options.scenario.scenario(&Defaults::RUN, options.seed).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{scenario:?}"));
    }

    #[test]
    fn a_seed_is_required() {
        assert_eq!(parse(&["--scenario", "day"]).unwrap_err().exit_code(), 2);
    }
}
