//! Reads the log of a server whose lines cannot be attributed to an input, and says what is wrong with it (G15).

use std::ops::RangeInclusive;

use carillon_server::{WallTime, Zone};

/// How far the time of a line may lie from the clock, in seconds: the line's is cut to whole ones.
const TOLERANCE: i64 = 1;

/// The state that a log has told of so far.
#[derive(Debug, Default)]
pub(crate) struct ServerLog {
    /// Connections that are open.
    pub(crate) open: i64,
    /// Texts received.
    pub(crate) received: u64,
    /// Of them, commands.
    commands: u64,
    /// Connections that ended while the server may have been at work at a command.
    pub(crate) interrupted: i64,
    subscribes: i64,
    unsubscribes: i64,
}

impl ServerLog {
    /// Takes in a line that was written now: whether the seed document knows it.
    ///
    /// # Errors
    ///
    /// What contradicts the lines before it, or the clock.
    #[cfg(feature = "live")]
    pub(crate) fn read(&mut self, line: &str, wall: WallTime, zone: &Zone) -> Result<bool, String> {
        self.read_line(line, wall..=wall, zone)
    }

    /// The same for a line as it was written, at a time between these two.
    pub(crate) fn read_between(
        &mut self,
        line: &str,
        written: RangeInclusive<WallTime>,
        zone: &Zone,
    ) -> Result<bool, String> {
        let known = self.read_line(line, written, zone)?;
        if known && line.contains(is_forging) {
            return Err(format!("{line:?} holds what should be escaped"));
        }
        Ok(known)
    }

    /// What a server that was started anew goes on with: only how many texts there were.
    pub(crate) fn restarted(&self) -> Self {
        Self { received: self.received, commands: self.commands, ..Self::default() }
    }

    /// Texts received that are no commands.
    pub(crate) fn plain_texts(&self) -> u64 {
        self.received - self.commands
    }

    fn read_line(
        &mut self,
        line: &str,
        written: RangeInclusive<WallTime>,
        zone: &Zone,
    ) -> Result<bool, String> {
        if let Some(total) = line.strip_prefix("Client connected. Total connections: ") {
            self.open += 1;
            return self.check_total(total, line);
        }
        if let Some(total) = line.strip_prefix("Client disconnected. Total connections: ") {
            self.open -= 1;
            return self.check_total(total, line);
        }
        if let Some(text) = line.strip_prefix("Received message: ") {
            self.received += 1;
            self.commands += u64::from(matches!(text, "subscribe" | "unsubscribe"));
            self.subscribes += i64::from(text == "subscribe");
            self.unsubscribes += i64::from(text == "unsubscribe");
            return Ok(true);
        }
        self.read_command(line, written, zone)
    }

    /// What is missing once the server has run idle for good.
    ///
    /// # Errors
    ///
    /// The lines that do not add up.
    pub(crate) fn finish(&self) -> Result<(), String> {
        if self.open != 0 {
            return Err(format!("by its log the server ended with {} connections", self.open));
        }
        if self.subscribes + self.unsubscribes > self.interrupted {
            return Err("a command was received and has no line with its time".to_owned());
        }
        Ok(())
    }

    fn read_command(
        &mut self,
        line: &str,
        written: RangeInclusive<WallTime>,
        zone: &Zone,
    ) -> Result<bool, String> {
        let count = if line.ends_with("] subscribe: 开启推送") {
            &mut self.subscribes
        } else if line.ends_with("] unsubscribe: 关闭推送") {
            &mut self.unsubscribes
        } else {
            return Ok(false);
        };
        *count -= 1;
        if *count < 0 {
            return Err(format!("{line:?} follows no such message"));
        }
        let [first, last] = [written.start(), written.end()].map(|at| at.as_unix_seconds());
        // The newest first, as it is mostly that.
        let is_timely = (first - TOLERANCE..=last + TOLERANCE).rev().any(|second| {
            let at = WallTime::from_unix_seconds(second);
            line.starts_with(&format!("[{}]", zone.format(at)))
        });
        if is_timely {
            Ok(true)
        } else {
            Err(format!("{line:?} was written at {}", zone.format(*written.end())))
        }
    }

    fn check_total(&self, total: &str, line: &str) -> Result<bool, String> {
        if total.parse() == Ok(self.open) {
            Ok(true)
        } else {
            Err(format!("{line:?}, but {} are open", self.open))
        }
    }
}

/// Whether a character makes of one line two, or of a message something else to the eye: control characters, line and
/// paragraph separators, and the marks that reorder text.
pub fn is_forging(letter: char) -> bool {
    let is_mark = matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || is_mark || matches!(letter, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: WallTime = WallTime::from_unix_seconds(1_795_348_800);

    fn read(lines: &[&str]) -> Result<ServerLog, String> {
        let mut log = ServerLog::default();
        for line in lines {
            log.read_line(line, NOON..=NOON, &Zone::UTC)?;
        }
        Ok(log)
    }

    #[test]
    fn a_true_log_adds_up() {
        let log = read(&[
            "Client connected. Total connections: 1",
            "Received message: unsubscribe",
            "[2026-11-22 12:00:00] unsubscribe: 关闭推送",
            "Client disconnected. Total connections: 0",
        ]);
        assert_eq!(log.unwrap().finish(), Ok(()));
    }

    #[test]
    fn a_line_that_a_client_could_forge_is_found() {
        let mut log = ServerLog::default();
        let mut read = |line| log.read_between(line, NOON..=NOON, &Zone::UTC);
        assert_eq!(read("Received message: unsubscribe\\n"), Ok(true));
        assert!(read("Received message: unsubscribe\n").is_err());
        assert!(read("Received message: \u{202e}").is_err());
    }

    #[test]
    fn each_lie_is_found() {
        assert!(read(&["Client connected. Total connections: 2"]).is_err());
        assert!(read(&["[2026-11-22 12:00:00] subscribe: 开启推送"]).is_err(), "nobody asked");
        let stale = ["Received message: subscribe", "[2026-11-22 11:59:58] subscribe: 开启推送"];
        assert!(read(&stale).is_err());
        assert!(read(&["Received message: subscribe"]).unwrap().finish().is_err(), "the line is missing");
        assert!(read(&["Client connected. Total connections: 1"]).unwrap().finish().is_err(), "nobody left");
    }
}
