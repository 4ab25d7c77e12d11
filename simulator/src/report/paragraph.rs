//! Paragraphs in text reports.

use std::fmt::{self, Formatter, Write};

/// The width of a text report, in columns.
pub(crate) const WIDTH: usize = 100;

/// The indentation of a sentence below a row of a table.
pub(crate) const BELOW: &str = "         ";

/// Writes a text in lines of at most [`WIDTH`] columns. The first line begins with `head`, the others with as many
/// spaces. Each line break in the text begins a new line, and other control characters are written as `\u{…}`, because
/// the text may come from a server.
pub(crate) fn paragraph(f: &mut Formatter<'_>, head: &str, text: &str) -> fmt::Result {
    let indent = head.chars().count();
    let lines = text.lines().flat_map(|line| wrapped(&printable(line), WIDTH - indent));
    for (index, line) in lines.enumerate() {
        let line = if index == 0 { format!("{head}{line}") } else { format!("{:indent$}{line}", "") };
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The line in pieces of at most `room` characters, broken at spaces. A word that is too long is broken anywhere.
fn wrapped(line: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut length = 0;
    for (index, word) in line.split(' ').enumerate() {
        let size = word.chars().count();
        if index > 0 && length + 1 + size > room && length > 0 {
            pieces.push(String::new());
            length = 0;
        } else if index > 0 {
            pieces.last_mut().into_iter().for_each(|piece| piece.push(' '));
            length += 1;
        }
        for character in word.chars() {
            if length == room {
                pieces.push(String::new());
                length = 0;
            }
            pieces.last_mut().into_iter().for_each(|piece| piece.push(character));
            length += 1;
        }
    }
    pieces
}

fn printable(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    for character in line.chars() {
        if character.is_control() {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).expect("a string takes every text");
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;

    use super::*;

    struct Shown<'a>(&'a str, &'a str);

    impl Display for Shown<'_> {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            paragraph(f, self.0, self.1)
        }
    }

    #[test]
    fn lines_break_at_spaces_and_stand_below_each_other() {
        let text = Shown("  §1  ", &["word"; 40].join(" ")).to_string();
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [100, 100, 15]);
        assert!(
            text.starts_with("  §1  word word") && text.lines().nth(1).unwrap().starts_with("      word")
        );
    }

    #[test]
    fn a_word_that_fits_nowhere_is_broken() {
        let text = Shown("", &format!("a {}b", "x".repeat(250))).to_string();
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [1, 100, 100, 51]);
    }

    #[test]
    fn line_breaks_stay_and_control_characters_are_shown() {
        let text = Shown("  ", "one\ntwo \u{1b}[2J  three").to_string();
        assert_eq!(text, "  one\n  two \\u{1b}[2J  three\n");
        assert_eq!(Shown("  ", "").to_string(), "");
    }
}
