//! Writes to standard output and standard error. A closed pipe is no error.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use carillon_simulator::report::Palette;

use super::failure::Failure;

/// Writes to standard output. A reader that closes the pipe is no error: `carillon-sim run | head` is fine.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Impossible(format!("cannot write the report: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error, and ignores errors.
pub(crate) fn complain(sentence: &str) {
    // An error cannot be reported anywhere.
    drop(writeln!(io::stderr(), "{sentence}"));
}

/// Colours if standard output is a terminal and the environment variable NO_COLOR is not set (no-color.org).
pub(crate) fn palette() -> Palette {
    let are_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !are_unwanted { Palette::Ansi } else { Palette::Plain }
}
