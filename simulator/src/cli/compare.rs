//! `carillon-sim compare`: whether a server has become worse between two sets of runs.

use std::path::PathBuf;

use carillon_simulator::Verdict;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::report::Summary;
use carillon_simulator::report::compare::{CompareSummary, ComparisonTable, Limit};
use clap::Args;

use super::failure::Failure;
use super::output::JsonOutput;
use super::{report, terminal};

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Crossed, Exit::Violated, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = exit::help(
    "Several runs of one side show how large the noise is. More runs make smaller regressions visible.\n\n    \
     carillon-sim compare --base base-*.json --new new-*.json --fail-on 'push_latency:p(99)>+10%'",
    ENDS
))]
pub(crate) struct Options {
    /// The report of a run before the change, as --json has written it
    #[arg(value_name = "BASE", required_unless_present = "bases", requires = "new_file")]
    base_file: Option<PathBuf>,

    /// The report of a run after the change
    #[arg(value_name = "NEW", required_unless_present = "news")]
    new_file: Option<PathBuf>,

    /// Reports of more runs before the change
    #[arg(id = "bases", long = "base", value_name = "FILE", num_args = 1..)]
    bases: Vec<PathBuf>,

    /// Reports of more runs after the change
    #[arg(id = "news", long = "new", value_name = "FILE", num_args = 1..)]
    news: Vec<PathBuf>,

    /// A regression: a figure, and the change of it that is too much, in percent or in its own unit, such as
    /// push_latency:p(99)>+10%, spread:max>5ms, deliveries:rate<-5% or lost:count>0
    #[arg(long, value_name = "LIMIT")]
    fail_on: Vec<Limit>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Compares and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let base = load(options.base_file.iter().chain(&options.bases))?;
    let new = load(options.new_file.iter().chain(&options.news))?;
    let summary = CompareSummary::new(&base, &new, &options.fail_on).map_err(Failure::Unreadable)?;
    let json = JsonOutput::open(options.json.as_deref())?;
    json.report(&ComparisonTable { summary: &summary, palette: terminal::palette() }, &summary)?;
    Ok(match (summary.verdict, summary.regressed) {
        (Verdict::Violated, _) => Exit::Violated,
        (_, true) => Exit::Crossed,
        (_, false) => Exit::Held,
    })
}

fn load<'a>(files: impl Iterator<Item = &'a PathBuf>) -> Result<Vec<(String, Summary)>, Failure> {
    files.map(|file| report::load_run(file)).collect()
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::cli::files::Files;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("compare", arguments)
    }

    #[test]
    fn sides_are_two_files_or_two_lists_of_them() {
        let two =
            parse(&["a.json", "b.json", "--fail-on", "echo:max>1ms", "--fail-on", "lost:count>0"]).unwrap();
        assert_eq!((two.base_file, two.new_file), (Some("a.json".into()), Some("b.json".into())));
        assert_eq!(two.fail_on.len(), 2);
        let lists = parse(&["--base", "a1", "a2", "--new", "b1", "b2", "b3"]).unwrap();
        assert_eq!((lists.bases.len(), lists.news.len(), lists.base_file), (2, 3, None));
        let mixed = parse(&["a1", "b1", "--base", "a2"]).unwrap();
        assert_eq!((mixed.bases.len(), mixed.new_file), (1, Some("b1".into())));
    }

    #[test]
    fn the_exit_code_tells_a_violation_a_regression_and_neither() {
        let files = Files::new("compare");
        let [base, slow, other] = [1, 2, 3].map(|seed| files.run(seed, |_| ()));
        let (base, other) = (base.to_str().unwrap(), other.to_str().unwrap());
        let slow = slow.to_str().unwrap();
        let end = |arguments: &[&str]| {
            let result = execute(&parse(arguments).unwrap());
            testing::assert_in_help("compare", &result);
            result
        };
        assert_eq!(end(&[base, slow]).unwrap(), Exit::Held);
        // Even no change exceeds this limit, but a change within the noise is no regression.
        assert_eq!(end(&[base, other, "--fail-on", "lost:count>-1"]).unwrap(), Exit::Held);
        let broken = files.run(4, |report| report["metrics"]["counts"]["lost"] = 3.into());
        let broken = broken.to_str().unwrap();
        assert_eq!(end(&[base, broken, "--fail-on", "lost:count>0"]).unwrap(), Exit::Crossed);
        let violated = files.run(5, |report| report["verdict"] = "violated".into());
        let violated = violated.to_str().unwrap();
        assert_eq!(end(&[base, violated, "--fail-on", "lost:count>-1"]).unwrap(), Exit::Violated);
        assert!(matches!(end(&[base, base, "--base", base]), Err(Failure::Unreadable(_))));
        assert!(matches!(end(&[base, "/no/such/file"]), Err(Failure::Impossible(_))));
        let larger = files.run(6, |report| report["clients"] = 9.into());
        assert!(matches!(end(&[base, larger.to_str().unwrap()]), Err(Failure::Unreadable(_))));
    }

    #[test]
    fn a_comparison_with_one_side_is_a_usage_error() {
        for arguments in [&[][..], &["a.json"], &["--base", "a.json"], &["--new", "b.json"]] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
        let error = parse(&["a", "b", "--fail-on", "latency>1"]).unwrap_err();
        assert!(error.to_string().contains("column 1: there is no metric \"latency\""), "{error}");
    }
}
