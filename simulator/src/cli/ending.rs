//! How the program ends: with an exit code, and with a sentence if a subcommand failed.

use std::process::ExitCode;

use carillon_simulator::exit::Exit;
use clap::Command;
use clap::error::ErrorKind;

use super::failure::Failure;
use super::terminal;

/// The ends of a subcommand that only prints.
pub(super) const PRINTING: &[Exit] = &[Exit::Held, Exit::Impossible];

/// Turns the result of a subcommand into an exit code, and prints the sentence of its failure.
///
/// `program` makes the whole command line. A usage error ends the process here, as clap's own errors do.
pub(crate) fn end(result: Result<Exit, Failure>, program: fn() -> Command, subcommand: &str) -> ExitCode {
    let failure = match result {
        Ok(exit) => return exit.into(),
        Err(failure) => failure,
    };
    match &failure {
        Failure::Usage(sentence) => usage_error(program(), subcommand, sentence).exit(),
        Failure::Impossible(sentence) | Failure::Unreadable(sentence) => {
            terminal::complain(&format!("error: {sentence}"));
        }
    }
    failure.exit().into()
}

/// A usage error in the form of clap's own: clap does not know that these values contradict each other.
fn usage_error(mut program: Command, subcommand: &str, sentence: &str) -> clap::Error {
    program.build();
    let subcommand = program.find_subcommand_mut(subcommand).expect("the subcommand that was parsed");
    subcommand.error(ErrorKind::ValueValidation, sentence)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_usage_error_names_the_subcommand_and_ends_with_2() {
        let error = usage_error(Cli::command(), "run", "this cannot be");
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
        let text = error.to_string();
        assert!(text.starts_with("error: this cannot be\n"), "{text}");
        assert!(text.contains("carillon-sim run [OPTIONS]"), "{text}");
    }
}
