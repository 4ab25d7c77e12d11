//! Columns that several text reports share.

use std::fmt::{self, Formatter};

use super::palette::Palette;
use crate::oracle::verdict::Verdict;

/// Width of the labels below the table of guarantees, in characters.
const LABEL: usize = 14;

/// The head of a table of guarantees, up to the column of verdicts.
pub(super) fn guarantee_head() -> String {
    format!("  {:<5}{:<31}{:<15}", "", "guarantee", "verdict")
}

/// The row of a guarantee, up to the verdict. `palette` colours the verdict.
pub(crate) fn guarantee_columns(palette: Palette, id: &str, name: &str, verdict: Verdict) -> String {
    // The verdict is padded before it is coloured: escape sequences have no width.
    let word = palette.paint(verdict, &format!("{:<15}", verdict.name()));
    format!("  {id:<5}{name:<31}{word}")
}

/// Writes a line below the table: a label and its text.
pub(crate) fn labelled_line(f: &mut Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {label:<LABEL$}{text}")
}
