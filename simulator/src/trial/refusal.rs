//! Errors of a trial that runs as a program.

use std::fmt;
use std::io::{self, Write};

use crate::exit::Exit;
use crate::file::LoadError;

/// An error sentence, and the exit code for it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) exit: Exit,
    pub(super) sentence: String,
}

impl Refusal {
    pub(super) fn impossible(sentence: &impl fmt::Display) -> Self {
        Self { exit: Exit::Impossible, sentence: sentence.to_string() }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::impossible(&error)
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        Self { exit: (&error).into(), sentence: error.to_string() }
    }
}

/// Prints to standard output. It is no error if the reader has closed the pipe.
pub(super) fn print(report: &str) -> Result<(), Refusal> {
    match io::stdout().lock().write_all(report.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
