//! Writing to standard output and standard error, where a closed pipe is no error.

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

/// Writes a line to standard error. A failure to write it is ignored.
pub(crate) fn complain(sentence: &str) {
    // There is no place left to report a failure to.
    drop(writeln!(io::stderr(), "{sentence}"));
}

/// Colours if standard output is a terminal, unless the user has asked every program for none (no-color.org).
pub(crate) fn palette() -> Palette {
    let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !is_unwanted { Palette::Ansi } else { Palette::Plain }
}
