//! The command line: one file per subcommand.

mod capacity;
mod compare;
mod conform;
mod connect;
mod dialect;
mod documents;
mod ending;
mod explain;
mod failure;
#[cfg(test)]
mod files;
mod list;
mod merge;
mod output;
mod progress;
mod replay;
mod report;
mod run;
mod scenario_options;
mod serving;
mod shrink;
mod soak;
mod story;
mod sweep;
mod terminal;
#[cfg(test)]
mod testing;
mod trust;

use std::process::ExitCode;

use carillon_server::cli::{CompletionsArguments, ManArguments};
use carillon_simulator::exit::{self, Exit};
use clap::{CommandFactory, Parser, Subcommand};

/// Puts a push server through days of traffic in seconds, and judges every frame
#[derive(Debug, Parser)]
#[command(
    name = "carillon-sim",
    version = env!("CARILLON_VERSION"),
    arg_required_else_help = true,
    after_help = exit::help("", &Exit::ALL)
)]
struct Cli {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find out how many clients a real server can serve, and what fails first
    Capacity(capacity::Options),
    /// Find out whether a server has become worse: compare reports from before and after a change
    Compare(compare::Options),
    /// Print a script that completes command lines in a shell
    #[command(after_help = exit::help("", ending::PRINTING))]
    Completions(CompletionsArguments),
    /// Put a server on a real socket on trial: a verdict on each of its guarantees
    Conform(conform::Options),
    /// Talk to a real server as the app would: `on` and `off` set the switch, other lines are sent, `quit` leaves
    Connect(connect::Options),
    /// Explain a violation: what the client and the server did, and what was due
    Explain(explain::Options),
    /// List the built-in scenarios
    List(list::Options),
    /// Print the manual page, in the format of roff
    #[command(after_help = exit::help("", ending::PRINTING))]
    Man(ManArguments),
    /// Add up the reports of the parts of a load that several machines made
    Merge(merge::Options),
    /// Turn a report into a page
    Report(report::Options),
    /// Run a script again: a file that `shrink` or a person has written
    Replay(replay::Options),
    /// Run a scenario in virtual time, and judge the server by its guarantees
    Run(run::Options),
    /// Shrink a run that violates a guarantee, and write it as a script
    Shrink(shrink::Options),
    /// Connect many clients to a real server for a while, and judge every frame
    Soak(Box<soak::Options>),
    /// Run a scenario with many seeds on all cores, and report what was tested and what broke
    Sweep(sweep::Options),
}

/// Runs the subcommand that the command line names.
pub(crate) fn main() -> ExitCode {
    let (name, result) = match Cli::parse().command {
        Command::Capacity(options) => ("capacity", capacity::execute(&options)),
        Command::Compare(options) => ("compare", compare::execute(&options)),
        Command::Completions(options) => ("completions", documents::completions(&options, Cli::command())),
        Command::Conform(options) => ("conform", conform::execute(&options)),
        Command::Connect(options) => ("connect", connect::execute(&options)),
        Command::Explain(options) => ("explain", explain::execute(&options)),
        Command::List(options) => ("list", list::execute(&options)),
        Command::Man(options) => ("man", documents::man(&options, Cli::command())),
        Command::Merge(options) => ("merge", merge::execute(&options)),
        Command::Report(options) => ("report", report::execute(&options)),
        Command::Replay(options) => ("replay", replay::execute(&options)),
        Command::Run(options) => ("run", run::execute(&options)),
        Command::Shrink(options) => ("shrink", shrink::execute(&options)),
        Command::Soak(options) => ("soak", soak::execute(&options)),
        Command::Sweep(options) => ("sweep", sweep::execute(&options)),
    };
    ending::end(result, Cli::command, name)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::failure::Failure;
    use super::{Cli, CommandFactory, Exit, testing};

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_each_subcommand_has_a_table_of_its_exit_codes() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            for result in [Ok(Exit::Held), Err(Failure::impossible("")), Err(Failure::Usage(String::new()))] {
                testing::assert_in_help(name, &result);
            }
        }
        let help =
            Cli::command().find_subcommand("list").and_then(Command::get_after_help).unwrap().to_string();
        assert_eq!(help, "Exit codes:\n    0  held\n    1  could not run\n    2  wrong options");
    }

    #[test]
    fn the_version_names_the_commit_if_there_is_one() {
        let version = Cli::command().render_version();
        let rest = version.trim_end().strip_prefix(concat!("carillon-sim ", env!("CARGO_PKG_VERSION")));
        let commit = rest.expect(&version).strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
        match commit {
            Some(commit) => assert!(commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{version}"),
            None => assert_eq!(rest, Some("")),
        }
    }
}
