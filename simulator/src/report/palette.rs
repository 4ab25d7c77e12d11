//! Colours of verdicts.

use crate::oracle::verdict::Verdict;

/// Whether a text report is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Colours, as escape sequences of a terminal.
    Ansi,
    /// Plain text.
    #[default]
    Plain,
}

impl Palette {
    /// `text` in the colour of the verdict.
    pub(crate) fn paint(self, verdict: Verdict, text: &str) -> String {
        let colour = match verdict {
            Verdict::Held => "32",
            Verdict::NotExercised | Verdict::Undecided => "33",
            Verdict::Violated => "1;31",
        };
        match self {
            Self::Ansi => format!("\x1b[{colour}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}
