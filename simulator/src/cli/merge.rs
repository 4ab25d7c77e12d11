//! `carillon-sim merge`: one report from the parts of a load that several machines made.

use std::path::PathBuf;

use carillon_simulator::exit::{self, Exit};
use carillon_simulator::report::{Summary, SummaryReport};
use clap::Args;

use super::failure::Failure;
use super::output::JsonOutput;
use super::{report, terminal};

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(
    "Histograms and counts are added up exactly. Bounds are judged again on the sums.\n\n    \
     carillon-sim merge part-*.json -o all.json",
    &Exit::ALL
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
    json.report(&SummaryReport { summary: &whole, palette: terminal::palette() }, &whole)?;
    Ok(exit_of(&whole))
}

/// The end of a subcommand with this outcome.
pub(super) fn exit_of(summary: &Summary) -> Exit {
    let crossed = summary.thresholds.iter().any(|judgement| !judgement.held);
    let crossed = if crossed { Exit::Crossed } else { Exit::Held };
    let interrupted = if summary.interrupted { Exit::Interrupted } else { Exit::Held };
    Exit::from(summary.verdict).max(crossed).max(interrupted)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::files::Files;
    use crate::cli::{Cli, Command, testing};

    fn merge(arguments: &[&std::path::Path]) -> Result<Exit, Failure> {
        let words = arguments.iter().map(|path| path.to_str().unwrap());
        let result =
            match Cli::try_parse_from(["carillon-sim", "merge"].into_iter().chain(words)).unwrap().command {
                Command::Merge(options) => execute(&options),
                other => panic!("{other:?}"),
            };
        testing::assert_in_help("merge", &result);
        result
    }

    /// The report of part `number` of a soak with the same seed.
    fn part(files: &Files, number: u32, change: impl Fn(&mut Value)) -> PathBuf {
        files.run(u64::from(number), |report| {
            report["command"] = "soak".into();
            report["seed"] = "1".into();
            report["shard"] = json!({ "numbers": [number], "of": 5 });
            change(report);
        })
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_part() {
        let files = Files::new("merge");
        let one = part(&files, 1, |_| ());
        let two = part(&files, 2, |_| ());
        let output = files.path("all.json");
        let option = std::path::Path::new("--output");
        assert_eq!(merge(&[&one, &two, option, &output]).unwrap(), Exit::Held);
        let all: Value = serde_json::from_str(&fs::read_to_string(&output).unwrap()).unwrap();
        assert_eq!(all["shard"], json!({ "numbers": [1, 2], "of": 5 }));
        let stopped = part(&files, 3, |report| report["interrupted"] = true.into());
        assert_eq!(merge(&[&one, &stopped]).unwrap(), Exit::Interrupted);
        let bound = json!([{ "threshold": "lost:count>0", "observed": 1.0, "unit": "", "held": true }]);
        let crossed = part(&files, 4, |report| report["thresholds"] = bound.clone());
        assert_eq!(merge(&[&one, &stopped, &crossed]).unwrap(), Exit::Crossed);
        let violated = part(&files, 5, |report| report["verdict"] = "violated".into());
        assert_eq!(merge(&[&one, &stopped, &crossed, &violated]).unwrap(), Exit::Violated);
        assert!(matches!(merge(&[&one, &one]), Err(Failure::Unreadable(_))));
    }
}
