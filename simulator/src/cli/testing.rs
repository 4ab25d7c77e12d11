//! Tools for the tests of the command line.

use carillon_simulator::exit::Exit;
use clap::{CommandFactory, Error, FromArgMatches};

use super::Cli;
use super::failure::Failure;

/// The options of a subcommand, read from its arguments.
pub(super) fn parse<Options: FromArgMatches>(subcommand: &str, arguments: &[&str]) -> Result<Options, Error> {
    let words = ["carillon-sim", subcommand].into_iter().chain(arguments.iter().copied());
    let matches = Cli::command().try_get_matches_from(words)?;
    let (name, matches) = matches.subcommand().expect("a subcommand");
    assert_eq!(name, subcommand);
    Options::from_arg_matches(matches)
}

/// Asserts that the table of exit codes in the subcommand's help has the end that this result leads to.
pub(super) fn assert_in_help(subcommand: &str, result: &Result<Exit, Failure>) {
    let exit = match result {
        Ok(exit) => *exit,
        Err(failure) => failure.exit(),
    };
    let program = Cli::command();
    let command = program.find_subcommand(subcommand).expect("a subcommand");
    let help = command.get_after_help().expect("a table of exit codes").to_string();
    let row = format!("\n{:>5}  ", exit.code());
    assert!(help.contains(&row), "{subcommand} can end with {exit:?}, and its help does not say so:\n{help}");
}
