//! The binary `carillon`.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::error::ErrorKind as UsageError;
use clap::{CommandFactory, Parser};

use carillon_server::cli::{Cli, Command};
use carillon_server::shell::process;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Completions(arguments) => print(&arguments.script(Cli::command())),
        Command::Man(arguments) => match arguments.page(Cli::command()) {
            Ok(page) => print(&page),
            Err(sentence) => Cli::command().error(UsageError::InvalidValue, sentence).exit(),
        },
        Command::Serve(arguments) => process::serve(&arguments.into()),
    }
}

/// Writes to standard output. A reader that closes the pipe is no error.
fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("carillon: cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
