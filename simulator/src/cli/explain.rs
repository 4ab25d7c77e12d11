//! `carillon-sim explain`: the story of a violation, in the terminal or as a picture.

use std::path::{Path, PathBuf};

use carillon_simulator::Script;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::hunt::explain::Explanation;
use carillon_simulator::report::ScriptSummary;
use carillon_simulator::units::parse_seed;
use clap::Args;

use super::failure::Failure;
use super::output::{JsonOutput, write_file};
use super::scenario_options::{Defaults, ScenarioOptions};
use super::{replay, shrink, terminal};

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Violated, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help("", ENDS))]
pub(crate) struct Options {
    /// A script; without one, the run of --seed is shrunk first
    #[arg(value_name = "FILE", required_unless_present = "seed")]
    file: Option<PathBuf>,

    #[command(flatten)]
    scenario: ScenarioOptions,

    /// The seed, which decides the run
    #[arg(long, value_name = "SEED", value_parser = parse_seed, conflicts_with = "file")]
    seed: Option<u64>,

    /// Draw it into this file instead: .svg, or .html with the script
    #[arg(long, short, value_name = "FILE", value_parser = parse_picture)]
    output: Option<PathBuf>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Plays the script and explains its violation.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let json = JsonOutput::open(options.json.as_deref())?;
    let Some((script, repeat)) = options.script()? else {
        return nothing(json, options.repeat()?);
    };
    // The first run shows whether the server accepts the scenario's limits.
    let mut first = Some(replay::play(&script, Default::default())?);
    let explanation = Explanation::of(&script, &repeat, |trace| match first.take() {
        Some(outcome) => outcome,
        None => script.play(trace).expect("the same script has run before"),
    });
    let Some(explanation) = explanation else {
        return nothing(json, repeat);
    };
    if let Some(path) = &options.output {
        write(path, &explanation)?;
    }
    if json.leaves_stdout() {
        terminal::print(&match &options.output {
            None => format!("{explanation}\nTo see it again:  {repeat}\n"),
            Some(path) => format!("the picture is in {}\n", path.display()),
        })?;
    }
    let story = Some(explanation.to_string());
    let summary = ScriptSummary::broken("explain", &script, explanation.violation(), story, repeat);
    json.write(&summary.map_err(Failure::impossible)?)?;
    Ok(Exit::Violated)
}

fn nothing(json: JsonOutput, repeat: String) -> Result<Exit, Failure> {
    let sentence = "nothing to explain: no guarantee was violated\n";
    json.report(&sentence, &ScriptSummary::held("explain", repeat))?;
    Ok(Exit::Held)
}

fn write(path: &Path, explanation: &Explanation) -> Result<(), Failure> {
    let picture = if is_html(path) { explanation.html() } else { explanation.svg() };
    write_file(path, picture)
}

impl Options {
    /// The script to explain, and the command that plays it again; `None` if the run violates no guarantee.
    fn script(&self) -> Result<Option<(Script, String)>, Failure> {
        if let Some(file) = &self.file {
            return Ok(Some((replay::load(file)?, format!("cargo sim replay {}", file.display()))));
        }
        let seed = self.seed.unwrap_or_default();
        let scenario = self.scenario.scenario(&Defaults::RUN, seed)?;
        let shrunk = shrink::shrink_seed(&self.scenario, &scenario, seed)?;
        let repeat = self.repeat()?;
        Ok(shrunk.map(|shrunk| (shrunk.script, repeat)))
    }

    /// The command that shrinks the run again: the explanation is about the small script, which that command writes.
    fn repeat(&self) -> Result<String, Failure> {
        let seed = self.seed.unwrap_or_default();
        let scenario = self.scenario.scenario(&Defaults::RUN, seed)?;
        Ok(self.scenario.run(&scenario, seed).repeat_line().replacen("sim run", "sim shrink", 1))
    }
}

fn is_html(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "html")
}

fn parse_picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_svg = path.extension().is_some_and(|extension| extension == "svg");
    if is_svg || is_html(&path) { Ok(path) } else { Err("its name must end in .svg or .html".to_owned()) }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("explain", arguments)
    }

    #[test]
    fn a_script_or_a_seed_is_needed_and_not_both() {
        assert!(parse(&["late.script"]).unwrap().file.is_some());
        assert_eq!(parse(&["--scenario", "swarm", "--seed", "7"]).unwrap().seed, Some(7));
        assert_eq!(parse(&[]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["late.script", "--seed", "7"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_picture_is_svg_or_html() {
        assert!(parse(&["late.script", "-o", "late.svg"]).is_ok());
        assert!(is_html(&parse(&["late.script", "-o", "late.html"]).unwrap().output.unwrap()));
        let error = parse(&["late.script", "-o", "late.png"]).unwrap_err().to_string();
        assert!(error.contains(".svg or .html"), "{error}");
    }
}
