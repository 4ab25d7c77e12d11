//! The binary `carillon`.

use std::process::ExitCode;

use clap::Parser;

use carillon_server::shell::options::{Cli, Command};
use carillon_server::shell::process;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => process::serve(&options),
    }
}
