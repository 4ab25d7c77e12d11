//! The story in a terminal: two columns and what was due, within a hundred columns.

use std::fmt::{self, Display, Formatter};

use carillon_server::Timestamp;

use super::tale::{Message, Side};
use super::{Explanation, seconds};

/// Lines up to the violation; a story that is longer begins later.
const BEFORE: usize = 18;

/// Lines behind it.
const AFTER: usize = 2;

/// How wide each side's column is.
const COLUMN: usize = 36;

/// A line of the story.
struct Row {
    at: Timestamp,
    /// Orders what happens at the same instant.
    rank: u8,
    cells: Cells,
}

enum Cells {
    Due(u64),
    /// What the client does, the wire, what the server does.
    Sides(String, &'static str, String),
    Breach(String),
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        for line in wrapped(&format!("Promised: {}", self.promise()), 98) {
            writeln!(f, "  {line}")?;
        }
        for line in wrapped(&format!("Seen: {}", self.verdict()), 98) {
            writeln!(f, "  {line}")?;
        }
        let client = format!("client {}", self.client);
        writeln!(f, "\n  {:>11} {:<8}  {client:<COLUMN$}    the server", "time", "a push")?;
        let (rows, skipped) = self.rows();
        if skipped > 0 {
            writeln!(f, "  {:>11} {skipped} lines before", "…")?;
        }
        rows.iter().try_for_each(|row| self.write_row(f, row))
    }
}

impl Explanation {
    fn write_row(&self, f: &mut Formatter<'_>, row: &Row) -> fmt::Result {
        let (time, may) = (seconds(row.at), self.tale.may_at(row.at).name());
        let line = match &row.cells {
            Cells::Due(cycle) => {
                let text = format!("cycle {cycle} is due, at {} ", self.wall(row.at));
                format!("  {time:>11} {may:<8}  {text:┄<width$}", width = 2 * COLUMN + 4)
            }
            Cells::Sides(left, wire, right) => {
                let (left, right) = (shortened(left), shortened(right));
                format!("  {time:>11} {may:<8}  {left:<COLUMN$} {wire} {right}")
            }
            Cells::Breach(words) => format!("> {time:>11} {may:<8}  {words}"),
        };
        writeln!(f, "{}", line.trim_end())
    }

    /// When the story begins, and when it ends.
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        let (rows, _) = self.rows();
        let at = |row: Option<&Row>| row.map_or(self.violation.at, |row| row.at);
        (at(rows.first()), at(rows.last()))
    }

    /// The lines around the violation, and how many come before them.
    fn rows(&self) -> (Vec<Row>, usize) {
        let mut rows: Vec<Row> = self.tale.messages.iter().flat_map(rows_of).collect();
        for deed in &self.tale.deeds {
            let words = deed.words.clone();
            let (rank, cells) = match (deed.is_breach, deed.side) {
                (true, _) => (9, Cells::Breach(words)),
                (_, Side::Client) => (3, Cells::Sides(words, "  ", String::new())),
                (_, Side::Server) => (3, Cells::Sides(String::new(), "  ", words)),
            };
            rows.push(Row { at: deed.at, rank, cells });
        }
        let dues = self.tale.dues.iter().rev().take(3);
        rows.extend(dues.map(|(cycle, at)| Row { at: *at, rank: 0, cells: Cells::Due(*cycle) }));
        rows.sort_by_key(|row| (row.at, row.rank));
        let breach = rows.iter().position(|row| matches!(row.cells, Cells::Breach(_))).unwrap_or(0);
        rows.truncate(breach + 1 + AFTER);
        let skipped = (breach + 1).saturating_sub(BEFORE);
        (rows.split_off(skipped), skipped)
    }
}

/// Where a message leaves, and where it arrives.
fn rows_of(message: &Message) -> Vec<Row> {
    let words = &message.words;
    let mark = if message.is_guilty { "✗ " } else { "" };
    let lost = if message.came_at.is_none() { " (lost)" } else { "" };
    let left = |words: String, wire| Cells::Sides(words, wire, String::new());
    let right = |words: String, wire| Cells::Sides(String::new(), wire, words);
    let (departure, arrival) = match message.from {
        Side::Client => (left(format!("sends {words}{lost}"), "─▶"), right(format!("takes {words}"), "─▶")),
        Side::Server => (right(format!("sends {words}"), "◀─"), left(format!("{mark}gets {words}"), "◀─")),
    };
    let departure = Row { at: message.sent_at, rank: 2, cells: departure };
    let arrival = message.came_at.map(|at| Row { at, rank: 1, cells: arrival });
    [departure].into_iter().chain(arrival).collect()
}

/// As much of a text as fits a column.
fn shortened(text: &str) -> String {
    if text.chars().count() <= COLUMN {
        return text.to_owned();
    }
    text.chars().take(COLUMN - 1).chain(['…']).collect()
}

/// A text in lines of at most this many characters.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
