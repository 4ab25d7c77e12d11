//! The columns that several text reports share.

use std::fmt::{self, Formatter};

use super::palette::Palette;
use crate::oracle::verdict::Verdict;

/// How wide the labels below the table of guarantees are.
const LABEL: usize = 14;

/// The first columns of the head of a table of guarantees, up to the verdict.
pub(super) fn guarantee_head() -> String {
    format!("  {:<5}{:<31}{:<15}", "", "guarantee", "verdict")
}

/// The first columns of a guarantee's row, up to the verdict.
pub(crate) fn guarantee_columns(palette: Palette, id: &str, name: &str, verdict: Verdict) -> String {
    // Padded before it is painted: escape sequences have no width.
    let word = palette.paint(verdict, &format!("{:<15}", verdict.name()));
    format!("  {id:<5}{name:<31}{word}")
}

/// A line below the table: a label, and what it says.
pub(super) fn line(f: &mut Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {label:<LABEL$}{text}")
}
