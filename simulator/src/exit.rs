//! How every subcommand ends: one table of exit codes.

use std::process::ExitCode;

use crate::file::LoadError;

/// How a subcommand ends. Of several that apply the greatest wins, which is the one that stands last here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was put to the test held.
    Held,
    /// It ran, but nothing was put to the test.
    NothingRan,
    /// Somebody stopped it; what it has reported is true of the time until then.
    Interrupted,
    /// A bound was crossed: a threshold, a promise of coverage, or a regression.
    Crossed,
    /// It could not be done.
    Impossible,
    /// These options make no sense.
    Usage,
    /// A file can be read, but not understood, or not together with the others.
    Unreadable,
    /// A guarantee was violated.
    Violated,
}

impl Exit {
    /// All of them, in the order of their codes.
    const ALL: [Self; 8] = [
        Self::Held,
        Self::Impossible,
        Self::Usage,
        Self::NothingRan,
        Self::Crossed,
        Self::Violated,
        Self::Unreadable,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
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

/// How a program ends that needed the file.
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

/// What stands below the options of every subcommand: its own sentences, and the exit codes of all.
pub fn help(sentences: &str) -> String {
    let codes = Exit::ALL.map(|exit| format!("{:>5}  {}", exit.code(), exit.meaning())).join("\n");
    let gap = if sentences.is_empty() { "" } else { "\n\n" };
    format!("{sentences}{gap}Exit codes:\n{codes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_a_code_of_its_own_and_stands_in_the_help() {
        let codes = Exit::ALL.map(Exit::code);
        assert!(codes.is_sorted_by(|one, other| one < other), "{codes:?}");
        let help = help("");
        assert!(help.starts_with("Exit codes:\n    0  held\n    1  could not run\n"), "{help}");
        assert!(help.ends_with("  105  interrupted"), "{help}");
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
