//! The server's log (G15): every line has a cause, and no line is missing.
//!
//! A target that attributes its lines hands over entries while it handles the input that caused them. The lines of any
//! other server are read as text, by [`ServerLog`](crate::oracle::server_log::ServerLog).

use std::time::Duration;

use carillon_server::{Now, Timestamp, WallTime};

use super::Checker;
use crate::network::{LogBook, LogEntry};
use crate::oracle::connection::Connection;
use crate::oracle::coverage::Met;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::text::Text;

impl Checker {
    /// Judges what the server has logged since the last call. `serving` is the connection whose input the server
    /// handles.
    pub(crate) fn on_log(&mut self, book: &mut LogBook, mut serving: Option<&mut Connection>, now: Now) {
        if !book.lines.is_empty() {
            self.on_log_lines(std::mem::take(&mut book.lines), now);
        }
        self.log.seen_at = now.at;
        for entry in &book.entries {
            self.on_log_entry(*entry, &book.texts, serving.as_deref_mut(), now.at);
        }
        book.entries.clear();
        book.texts.clear();
    }

    /// Notes a restart, after which a new log begins.
    pub(super) fn restart_log(&mut self) {
        self.log.told = self.log.told.restarted();
        self.log.expected = None;
    }

    /// Judges the log of a server that has written its last line.
    pub(super) fn finish_log(&mut self, now: Timestamp) {
        if let Err(detail) = self.log.told.finish() {
            self.violate_all(Guarantee::G15, Fault::WrongLog, now, || detail);
        }
        self.check_texts_logged(now);
    }

    /// Checks that a server with a log logs the texts that it receives. It may drop single lines, but not most of them.
    fn check_texts_logged(&mut self, now: Timestamp) {
        let (answered, log) = (self.keeper.tally(Guarantee::G8), self.keeper.tally(Guarantee::G15));
        let (answered, logged) = (answered.exercised, self.log.told.plain_texts());
        if !self.server.attributes_log && log.exercised > 0 && logged < answered / 2 {
            self.violate_all(Guarantee::G15, Fault::WrongLog, now, || {
                format!("the server answered {answered} texts, but logged only {logged} of them")
            });
        }
    }

    fn on_log_lines(&mut self, lines: Vec<String>, now: Now) {
        // A line of the reference server is seen when it is written. A line that a third-party server writes on a timer
        // is seen only with the next bytes that it sends.
        let unseen = now.at.since(self.log.seen_at);
        let unseen = if self.server.is_foreign { unseen } else { Duration::ZERO };
        let first = WallTime::from_unix_nanos(now.wall.as_unix_nanos() - unseen.as_nanos() as i64);
        for line in lines {
            match self.log.told.read_between(&line, first..=now.wall, &self.zone) {
                Ok(true) => self.exercise(Guarantee::G15, Met::default()),
                Ok(false) => {}
                Err(detail) => self.violate_all(Guarantee::G15, Fault::WrongLog, now.at, || detail),
            }
        }
    }

    fn on_log_entry(
        &mut self,
        entry: LogEntry,
        texts: &str,
        serving: Option<&mut Connection>,
        now: Timestamp,
    ) {
        let met = serving.as_ref().map_or_else(Met::default, |connection| connection.met);
        let is_due = match entry {
            LogEntry::Connected => {
                self.log.told.open += 1;
                self.log.expected.is_none()
            }
            LogEntry::Disconnected => {
                self.log.told.open -= 1;
                self.log.expected.is_none()
            }
            LogEntry::Received { start, end } => self.is_received_line_due(serving, &texts[start..end]),
            LogEntry::Subscribed | LogEntry::Unsubscribed => self.log.expected.take() == Some(entry),
        };
        if is_due {
            self.exercise(Guarantee::G15, met);
        } else {
            self.violate_all(Guarantee::G15, Fault::WrongLog, now, || {
                format!("a log line {entry:?} without a cause")
            });
        }
    }

    fn is_received_line_due(&mut self, serving: Option<&mut Connection>, logged: &str) -> bool {
        let Some(text) = serving.and_then(|connection| connection.unlogged.pop()) else { return false };
        self.log.expected = match text {
            Text::Subscribe => Some(LogEntry::Subscribed),
            Text::Unsubscribe => Some(LogEntry::Unsubscribed),
            _ => None,
        };
        text.is(logged.as_bytes())
    }
}
