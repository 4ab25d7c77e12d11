//! `carillon-sim list`: the built-in scenarios.

use std::path::PathBuf;

use carillon_simulator::exit::{self, Exit};
use carillon_simulator::report::{ScenarioEntry, ScenarioList};
use clap::Args;

use super::ending::PRINTING;
use super::failure::Failure;
use super::output::JsonOutput;

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help("", PRINTING))]
pub(crate) struct Options {
    /// Write the list to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Prints name and subject of each built-in scenario.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let json = JsonOutput::open(options.json.as_deref())?;
    let list = ScenarioList::built_in();
    let line = |entry: &ScenarioEntry| format!("{:<10}{}\n", entry.name, entry.subject);
    let text: String = list.scenarios.iter().map(line).collect();
    json.report(&text, &list)?;
    Ok(Exit::Held)
}
