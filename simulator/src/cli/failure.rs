//! Why a subcommand came to nothing.

use std::fmt::Display;

use carillon_simulator::LoadError;
use carillon_simulator::exit::Exit;

/// Why a subcommand came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Impossible(String),
    /// A file holds a mistake.
    Unreadable(String),
    /// These options make no sense.
    Usage(String),
}

impl Failure {
    /// An error that ends the subcommand, in its own words.
    pub(crate) fn impossible(error: impl Display) -> Self {
        Self::Impossible(error.to_string())
    }

    /// The end of the program after this failure.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Impossible(_) => Exit::Impossible,
            Self::Unreadable(_) => Exit::Unreadable,
            Self::Usage(_) => Exit::Usage,
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Io(..) => Self::Impossible(error.to_string()),
            LoadError::Mistake(..) => Self::Unreadable(error.to_string()),
        }
    }
}
