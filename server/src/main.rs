//! The binary `carillon`.

use std::process::ExitCode;

use clap::Parser;

use carillon_server::cli::{Cli, Command};
use carillon_server::shell::process;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(arguments) => process::serve(&arguments.into()),
    }
}
