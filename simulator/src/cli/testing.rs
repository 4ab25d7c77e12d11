//! Command lines of the tests.

use clap::{CommandFactory, Error, FromArgMatches};

use super::Cli;

/// The options of a subcommand, read from its arguments.
pub(super) fn parse<Options: FromArgMatches>(subcommand: &str, arguments: &[&str]) -> Result<Options, Error> {
    let words = ["carillon-sim", subcommand].into_iter().chain(arguments.iter().copied());
    let matches = Cli::command().try_get_matches_from(words)?;
    let (name, matches) = matches.subcommand().expect("a subcommand");
    assert_eq!(name, subcommand);
    Options::from_arg_matches(matches)
}
