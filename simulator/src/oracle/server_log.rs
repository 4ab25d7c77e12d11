//! Reads the log of a server whose lines cannot be attributed to an input, and reports what is wrong with it (G15).

use std::ops::RangeInclusive;

use carillon_server::{WallTime, Zone};

/// The largest difference between a line's time and the clock, in seconds. A line's time is cut to whole seconds.
const TOLERANCE: i64 = 1;

/// The server's state, as its log lines describe it so far.
#[derive(Debug, Default)]
pub(crate) struct ServerLog {
    /// Connections that are open.
    pub(crate) open: i64,
    /// The number of texts received.
    pub(crate) received: u64,
    /// The number of commands among them.
    commands: u64,
    /// Connections that ended while the server may have been handling a command.
    pub(crate) interrupted: i64,
    subscribes: i64,
    unsubscribes: i64,
}

impl ServerLog {
    /// Reads a line that was written at `wall`. Returns whether the original app knows this kind of line.
    ///
    /// # Errors
    ///
    /// A sentence, if the line contradicts the lines before it, or the clock.
    #[cfg(feature = "live")]
    pub(crate) fn read(&mut self, line: &str, wall: WallTime, zone: &Zone) -> Result<bool, String> {
        self.read_line(line, wall..=wall, zone)
    }

    /// The same for a line that was written at a time in the range `written`.
    pub(crate) fn read_between(
        &mut self,
        line: &str,
        written: RangeInclusive<WallTime>,
        zone: &Zone,
    ) -> Result<bool, String> {
        let known = self.read_line(line, written, zone)?;
        if known && line.contains(is_forging) {
            return Err(format!("{line:?} holds a character that must be escaped"));
        }
        Ok(known)
    }

    /// The state with which the log of a restarted server begins: only the number of texts is kept.
    pub(crate) fn restarted(&self) -> Self {
        Self { received: self.received, commands: self.commands, ..Self::default() }
    }

    /// The number of texts received that are not commands.
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

    /// Checks the log of a server that has ended.
    ///
    /// # Errors
    ///
    /// A sentence about lines that are missing.
    pub(crate) fn finish(&self) -> Result<(), String> {
        if self.open != 0 {
            return Err(format!("the server ended, but its log leaves {} connections open", self.open));
        }
        if self.subscribes + self.unsubscribes > self.interrupted {
            return Err("a command was received, but no line with its time follows".to_owned());
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
            return Err(format!("{line:?}, but no such message precedes it"));
        }
        let [first, last] = [written.start(), written.end()].map(|at| at.as_unix_seconds());
        // The newest time first, because it usually fits.
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

/// Whether a character can forge log lines, because it breaks a line in two or changes how a line looks: control
/// characters, line and paragraph separators, and marks that reorder text.
pub fn is_forging(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_control();
    }
    matches!(
        letter,
        '\u{80}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
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
    fn a_correct_log_passes() {
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
    fn each_wrong_line_is_found() {
        assert!(read(&["Client connected. Total connections: 2"]).is_err());
        assert!(read(&["[2026-11-22 12:00:00] subscribe: 开启推送"]).is_err(), "no command was received");
        let stale = ["Received message: subscribe", "[2026-11-22 11:59:58] subscribe: 开启推送"];
        assert!(read(&stale).is_err());
        assert!(read(&["Received message: subscribe"]).unwrap().finish().is_err(), "the line is missing");
        assert!(
            read(&["Client connected. Total connections: 1"]).unwrap().finish().is_err(),
            "the disconnect is missing"
        );
    }
}
