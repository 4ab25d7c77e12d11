//! The exit codes of all subcommands, in one table.

use std::process::ExitCode;

use crate::file::LoadError;

/// The result of a subcommand. If several apply, the last one in this list wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was exercised held.
    Held,
    /// The subcommand ran, but exercised nothing.
    NothingRan,
    /// A signal interrupted the subcommand. Its report covers the time until then.
    Interrupted,
    /// A bound was crossed: a threshold, a coverage promise, or a regression.
    Crossed,
    /// The subcommand could not run.
    Impossible,
    /// The options are wrong, or do not fit together.
    Usage,
    /// A file contains a mistake, or does not fit the other files.
    Unreadable,
    /// A guarantee was violated.
    Violated,
}

impl Exit {
    /// All results, in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Held,
        Self::Impossible,
        Self::Usage,
        Self::NothingRan,
        Self::Crossed,
        Self::Violated,
        Self::Unreadable,
        Self::Interrupted,
    ];

    /// The exit code of the process.
    pub const fn code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Impossible => 1,
            Self::Usage => 2,
            Self::NothingRan => 4,
            Self::Crossed => 99,
            Self::Violated => 100,
            Self::Unreadable => 104,
            Self::Interrupted => 105,
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Impossible => "could not run",
            Self::Usage => "wrong options",
            Self::NothingRan => "nothing ran",
            Self::Crossed => "a bound was crossed",
            Self::Violated => "a guarantee was violated (beats 99)",
            Self::Unreadable => "a scenario or another file with a mistake",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The exit code of a program that needs the file.
impl From<&LoadError> for Exit {
    fn from(error: &LoadError) -> Self {
        match error {
            LoadError::Io(..) => Self::Impossible,
            LoadError::Mistake(..) => Self::Unreadable,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The text below the options of a subcommand: its own sentences, and a table of the exit codes that it can end with.
///
/// Wrong options are in every table, as every command line has that end.
pub fn help(sentences: &str, ends: &[Exit]) -> String {
    let is_possible = |exit: &Exit| *exit == Exit::Usage || ends.contains(exit);
    let line = |exit: Exit| format!("{:>5}  {}", exit.code(), exit.meaning());
    let codes = Exit::ALL.into_iter().filter(is_possible).map(line).collect::<Vec<_>>().join("\n");
    let gap = if sentences.is_empty() { "" } else { "\n\n" };
    format!("{sentences}{gap}Exit codes:\n{codes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exit_has_its_own_code_and_is_in_the_help() {
        let codes = Exit::ALL.map(Exit::code);
        assert!(codes.is_sorted_by(|one, other| one < other), "{codes:?}");
        let help = help("", &Exit::ALL);
        assert!(help.starts_with("Exit codes:\n    0  held\n    1  could not run\n"), "{help}");
        assert!(help.ends_with("  105  interrupted"), "{help}");
    }

    #[test]
    fn the_table_has_the_ends_of_the_subcommand_and_wrong_options() {
        let expected = "It prints.\n\nExit codes:\n    0  held\n    2  wrong options\n  105  interrupted";
        assert_eq!(help("It prints.", &[Exit::Interrupted, Exit::Held]), expected);
    }

    #[test]
    fn the_manual_has_the_same_table() {
        let manual = include_str!("../README.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(manual.lines().any(|line| line == row), "{row:?} is missing in simulator/README.md");
        }
    }

    #[test]
    fn a_violation_beats_a_bound_and_a_bound_beats_an_interruption() {
        assert_eq!(Exit::Violated.max(Exit::Crossed), Exit::Violated);
        assert_eq!(Exit::Crossed.max(Exit::Interrupted), Exit::Crossed);
        assert_eq!(Exit::Interrupted.max(Exit::Held), Exit::Interrupted);
    }
}
