//! `carillon-sim replay`: plays a script and judges it like any run.

use std::path::PathBuf;

use carillon_simulator::Verdict;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::report::{Run, Summary, TextReport};
use carillon_simulator::stopwatch::clocked;
use carillon_simulator::{Outcome, Script, Trace};
use clap::Args;

use super::failure::Failure;
use super::output::{JsonOutput, TraceFile};
use super::{story, terminal};

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Violated, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help("", ENDS))]
pub(crate) struct Options {
    /// The script
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write every event to this file, one per line
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// Plays and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let script = load(&options.file)?;
    let json = JsonOutput::open(options.json.as_deref())?;
    let trace = options.trace.as_deref().map(TraceFile::create).transpose()?;
    let recorder = trace.as_ref().map(TraceFile::trace).unwrap_or_default();
    let (outcome, wall) = clocked(|| play(&script, recorder))?;
    trace.map_or(Ok(()), TraceFile::finish)?;
    let run = Run { arm: script.arm, scenario: &script.scenario, seed: script.seed, wall };
    let repeat = format!("cargo sim replay {}", options.file.display());
    let story = story::of_first(&run, &outcome, |options| play(&script, options.trace))?;
    let text = report(&script, &run, &outcome, &repeat, story.as_deref());
    let summary = Summary::new(&run, &outcome).with_story(story);
    json.report(&text, &Summary { command: "replay".into(), repeat, ..summary })?;
    Ok(Verdict::of_run(&outcome.score).into())
}

/// The script in a file.
pub(super) fn load(file: &std::path::Path) -> Result<Script, Failure> {
    Ok(Script::load(file)?)
}

/// Plays a script on the reference server.
pub(super) fn play(script: &Script, trace: Trace) -> Result<Outcome, Failure> {
    script.play(trace).map_err(Failure::impossible)
}

fn report(script: &Script, run: &Run<'_>, outcome: &Outcome, repeat: &str, story: Option<&str>) -> String {
    let report = TextReport { run: *run, outcome, palette: terminal::palette() }.repeated_by(repeat);
    let story = story::what_broke(outcome, story);
    let promised = match script.breaks {
        Some((guarantee, fault)) if script.violation_in(&outcome.score).is_none() => {
            format!("The head of the script says that {guarantee} breaks ({}); it did not.\n", fault.name())
        }
        _ if story.is_empty() => String::new(),
        _ => format!("To see why:  {}\n", repeat.replacen("replay", "explain", 1)),
    };
    format!("{report}{story}{promised}")
}
