//! The explanation as text: two columns and the due instants, at most 100 columns wide.

use std::fmt::{self, Display, Formatter};

use carillon_server::Timestamp;

use super::timeline::{Message, Side};
use super::{Explanation, seconds};

/// Lines up to the violation; earlier lines are cut off.
const BEFORE: usize = 18;

/// Lines after the violation.
const AFTER: usize = 2;

/// Width of each side's column, in characters.
const COLUMN: usize = 36;

/// A line of the text.
struct Row {
    at: Timestamp,
    /// Orders the lines of one instant.
    rank: u8,
    cells: Cells,
}

enum Cells {
    Due(u64),
    /// The client's column, the arrow, the server's column.
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
        let (time, rule) = (seconds(row.at), self.timeline.rule_at(row.at).name());
        let line = match &row.cells {
            Cells::Due(cycle) => {
                let text = format!("cycle {cycle} is due, at {} ", self.wall(row.at));
                format!("  {time:>11} {rule:<8}  {text:┄<width$}", width = 2 * COLUMN + 4)
            }
            Cells::Sides(left, wire, right) => {
                let (left, right) = (shortened(left), shortened(right));
                format!("  {time:>11} {rule:<8}  {left:<COLUMN$} {wire} {right}")
            }
            Cells::Breach(text) => format!("> {time:>11} {rule:<8}  {text}"),
        };
        writeln!(f, "{}", line.trim_end())
    }

    /// The instants of the first line and of the last.
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        let (rows, _) = self.rows();
        let at = |row: Option<&Row>| row.map_or(self.violation.at, |row| row.at);
        (at(rows.first()), at(rows.last()))
    }

    /// The lines around the violation, and the number of lines that were cut off before them.
    fn rows(&self) -> (Vec<Row>, usize) {
        let mut rows: Vec<Row> = self.timeline.messages.iter().flat_map(rows_of).collect();
        for action in &self.timeline.actions {
            let text = action.text.clone();
            let (rank, cells) = match (action.is_breach, action.side) {
                (true, _) => (9, Cells::Breach(text)),
                (_, Side::Client) => (3, Cells::Sides(text, "  ", String::new())),
                (_, Side::Server) => (3, Cells::Sides(String::new(), "  ", text)),
            };
            rows.push(Row { at: action.at, rank, cells });
        }
        let dues = self.timeline.dues.iter().rev().take(3);
        rows.extend(dues.map(|(cycle, at)| Row { at: *at, rank: 0, cells: Cells::Due(*cycle) }));
        rows.sort_by_key(|row| (row.at, row.rank));
        let breach = rows.iter().position(|row| matches!(row.cells, Cells::Breach(_))).unwrap_or(0);
        rows.truncate(breach + 1 + AFTER);
        let skipped = (breach + 1).saturating_sub(BEFORE);
        (rows.split_off(skipped), skipped)
    }
}

/// The line at which a message leaves, and the line at which it arrives.
fn rows_of(message: &Message) -> Vec<Row> {
    let text = &message.text;
    let mark = if message.is_guilty { "✗ " } else { "" };
    let lost = if message.arrived_at.is_none() { " (lost)" } else { "" };
    let left = |text: String, wire| Cells::Sides(text, wire, String::new());
    let right = |text: String, wire| Cells::Sides(String::new(), wire, text);
    let (departure, arrival) = match message.from {
        Side::Client => (left(format!("sends {text}{lost}"), "─▶"), right(format!("takes {text}"), "─▶")),
        Side::Server => (right(format!("sends {text}"), "◀─"), left(format!("{mark}gets {text}"), "◀─")),
    };
    let departure = Row { at: message.sent_at, rank: 2, cells: departure };
    let arrival = message.arrived_at.map(|at| Row { at, rank: 1, cells: arrival });
    [departure].into_iter().chain(arrival).collect()
}

/// The text, cut to the width of a column.
fn shortened(text: &str) -> String {
    if text.chars().count() <= COLUMN {
        return text.to_owned();
    }
    text.chars().take(COLUMN - 1).chain(['…']).collect()
}

/// The text, broken into lines of at most `width` characters.
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
