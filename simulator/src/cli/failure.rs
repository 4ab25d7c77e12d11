//! Why a subcommand failed.

use std::fmt::Display;

use carillon_simulator::LoadError;
use carillon_simulator::exit::Exit;

/// Why a subcommand failed, as a sentence for the user.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The subcommand could not run or finish.
    Impossible(String),
    /// A file contains a mistake.
    Unreadable(String),
    /// The options are wrong, or contradict each other.
    Usage(String),
}

impl Failure {
    /// A failure with the text of this error.
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
