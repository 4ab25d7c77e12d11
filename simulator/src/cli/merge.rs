//! `carillon-sim merge`: the parts of a load that several machines made, as one.

use std::path::PathBuf;

use carillon_simulator::report::{Summary, SummaryReport};
use clap::Args;

use super::exit::{self, Exit};
use super::output::JsonOutput;
use super::{Failure, report, terminal};

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(
    "Histograms and counts are added up exactly, and bounds are judged anew on the sums.\n\n    \
     carillon-sim merge part-*.json -o all.json"
))]
pub(crate) struct Options {
    /// The reports of the parts, as `soak --shard` has written them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long = "json", short = 'o', visible_alias = "output", value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Merges and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let parts = options.files.iter().map(|file| report::load_run(file)).collect::<Result<Vec<_>, _>>()?;
    let whole = Summary::merge(&parts).map_err(Failure::Unreadable)?;
    let json = JsonOutput::open(options.json.as_deref())?;
    if json.leaves_stdout() {
        terminal::print(&SummaryReport { summary: &whole, palette: terminal::palette() }.to_string())?;
    }
    json.write(&whole)?;
    Ok(exit_of(&whole))
}

/// How a command ends whose outcome this is.
pub(super) fn exit_of(summary: &Summary) -> Exit {
    let crossed = summary.thresholds.iter().any(|judgement| !judgement.held);
    let crossed = if crossed { Exit::Crossed } else { Exit::Held };
    let interrupted = if summary.interrupted { Exit::Interrupted } else { Exit::Held };
    Exit::of(summary.verdict).max(crossed).max(interrupted)
}
