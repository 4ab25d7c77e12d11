//! `carillon-sim explain`: the story of a violation, in the terminal or as a picture.

use std::fs;
use std::path::{Path, PathBuf};

use carillon_simulator::Script;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::explain::Explanation;
use carillon_simulator::units::parse_seed;
use clap::Args;

use super::choice::Choice;
use super::{Failure, replay, shrink, terminal};

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(""))]
pub(crate) struct Options {
    /// A script; without one the run of --seed is made small first
    #[arg(value_name = "FILE", required_unless_present = "seed")]
    file: Option<PathBuf>,

    #[command(flatten)]
    choice: Choice,

    /// What decides the run
    #[arg(long, value_name = "SEED", value_parser = parse_seed, conflicts_with = "file")]
    seed: Option<u64>,

    /// Draw it into this file instead: .svg, or .html with the script
    #[arg(long, short, value_name = "FILE", value_parser = parse_picture)]
    output: Option<PathBuf>,
}

/// Plays, and tells.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let Some((script, repeat)) = options.script()? else {
        return nothing();
    };
    // The first run tells whether the server takes the scenario's limits.
    let mut first = Some(replay::play(&script, Default::default())?);
    let explanation = Explanation::of(&script, &repeat, |trace| match first.take() {
        Some(outcome) => outcome,
        None => script.play(trace).expect("what ran once runs again"),
    });
    let Some(explanation) = explanation else {
        return nothing();
    };
    match &options.output {
        None => terminal::print(&format!("{explanation}\nTo see it again:  {repeat}\n"))?,
        Some(path) => write(path, &explanation)?,
    }
    Ok(Exit::Violated)
}

fn nothing() -> Result<Exit, Failure> {
    terminal::print("nothing to explain: no guarantee was violated\n")?;
    Ok(Exit::Held)
}

fn write(path: &Path, explanation: &Explanation) -> Result<(), Failure> {
    let picture = if is_html(path) { explanation.html() } else { explanation.svg() };
    fs::write(path, picture)
        .map_err(|error| Failure::Impossible(format!("cannot write {}: {error}", path.display())))?;
    terminal::print(&format!("the picture is in {}\n", path.display()))
}

impl Options {
    /// What is to be explained, and the line that plays it again; `None` if nothing breaks in the run.
    fn script(&self) -> Result<Option<(Script, String)>, Failure> {
        if let Some(file) = &self.file {
            return Ok(Some((replay::load(file)?, format!("cargo sim replay {}", file.display()))));
        }
        let seed = self.seed.unwrap_or_default();
        let scenario = shrink::scenario(&self.choice, seed)?;
        let shrunk = shrink::shrink_seed(&self.choice, &scenario, seed)?;
        // What is told is the small script, which that command writes.
        let repeat =
            shrink::run(&self.choice, &scenario, seed).repeat_line().replacen("sim run", "sim shrink", 1);
        Ok(shrunk.map(|shrunk| (shrunk.script, repeat)))
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
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["carillon-sim", "explain"].iter().chain(arguments);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Explain(options) => options,
            other => panic!("{other:?}"),
        })
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
