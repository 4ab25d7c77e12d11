//! What one client did and saw around a violation.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use carillon_server::log::escape;
use carillon_server::{Timestamp, WallTime, Zone};

use super::format::{moment, subject};
use crate::arms::RunOptions;
use crate::oracle::score::Violation;
use crate::scenario::Scenario;
use crate::trace::{Trace, Watch};
use crate::world::Outcome;

/// Lines up to the violation.
const BEFORE: usize = 12;

/// Lines after the violation.
const AFTER: usize = 3;

/// The longest text of a line, in characters, so that the line fits 100 columns.
const TEXT: usize = 56;

/// What a client did and saw around a violation, recorded in a second run of the same seed. Print it with
/// `Display`.
///
/// Give [`Story::trace`] to the second run, which may stop at [`Story::end`].
#[derive(Clone, Debug)]
pub struct Story {
    violation: Violation,
    /// When the second run is told to shut down. The first run has no events after that which belong to the story.
    end: Timestamp,
    is_cut: bool,
    zone: Zone,
    wall_origin: WallTime,
    lines: Rc<RefCell<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    before: VecDeque<Line>,
    after: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    at: Timestamp,
    text: String,
}

impl Story {
    /// An empty story around `violation`, which happened in a run of `scenario`.
    pub fn new(violation: &Violation, scenario: &Scenario) -> Self {
        // Enough time for three pushes and the arrival of the last one.
        let enough = violation.at + 4 * scenario.server.period;
        let full = Timestamp::ZERO + scenario.duration;
        Self {
            violation: violation.clone(),
            end: enough.min(full),
            is_cut: enough < full,
            zone: scenario.zone.clone(),
            wall_origin: scenario.wall_origin,
            lines: Rc::default(),
        }
    }

    /// The story of the first violation of a run of `scenario`, as text. `again` repeats the run with other
    /// options. If the second run differs, the text says that the server is not deterministic.
    ///
    /// # Errors
    ///
    /// The errors of `again`.
    pub fn told<E>(
        violation: &Violation,
        scenario: &Scenario,
        again: impl FnOnce(RunOptions) -> Result<Outcome, E>,
    ) -> Result<String, E> {
        let story = Self::new(violation, scenario);
        let options =
            RunOptions { trace: story.trace(), stops_at: Some(story.end()), ..RunOptions::default() };
        if again(options)?.score.violations.first() == Some(violation) {
            return Ok(story.to_string());
        }
        let cause = "the second run of the same seed differed, so the server under test is not deterministic";
        Ok(format!("No story: {cause}.\n"))
    }

    /// The virtual time at which the second run may stop.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// The trace for the second run. It writes into this story.
    pub fn trace(&self) -> Trace {
        let watch = self.violation.client.map_or(Watch::None, Watch::One);
        Trace::new(watch, Some(Box::new(self.clone())))
    }

    fn add(&self, line: Line) {
        let mut lines = self.lines.borrow_mut();
        if line.at <= self.violation.at {
            if lines.before.len() == BEFORE {
                lines.before.pop_front();
            }
            lines.before.push_back(line);
        } else if lines.after.len() < AFTER && !(self.is_cut && line.at >= self.end) {
            lines.after.push(line);
        }
    }

    /// Writes a line with its virtual time and its wall clock time.
    fn row(&self, f: &mut Formatter<'_>, mark: char, at: Timestamp, text: &str) -> fmt::Result {
        let wall = self.wall_origin.after(at.since(Timestamp::ZERO));
        let wall = self.zone.format(wall);
        writeln!(f, "{mark} {:<20}{wall}   {}", moment(at), shortened(text))
    }
}

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Violation { guarantee, fault, at, client, .. } = &self.violation;
        let lines = self.lines.borrow();
        let client = subject(*client);
        writeln!(
            f,
            "What happened around that moment to {client}, by virtual time and by the server's wall clock:\n"
        )?;
        for line in &lines.before {
            self.row(f, ' ', line.at, &line.text)?;
        }
        let verdict = format!("^ {guarantee} broke here: {}", fault.name());
        self.row(f, '>', *at, &verdict)?;
        for line in &lines.after {
            self.row(f, ' ', line.at, &line.text)?;
        }
        Ok(())
    }
}

/// Each call gets one line, as [`Trace`] writes them.
impl Write for Story {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(line) = Line::parse(&String::from_utf8_lossy(bytes)) {
            self.add(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line {
    /// Parses a line such as `300.001000000s  client 7  sends subscribe`. Returns `None` for lines about the wire.
    fn parse(raw: &str) -> Option<Self> {
        let mut parts = raw.strip_suffix('\n')?.splitn(3, "  ");
        let (seconds, nanos) = parts.next()?.strip_suffix('s')?.split_once('.')?;
        let at = Duration::new(seconds.parse().ok()?, nanos.parse().ok()?);
        parts.next().filter(|place| place.starts_with("client "))?;
        let text = escape(parts.next()?).to_string();
        Some(Self { at: Timestamp::ZERO + at, text })
    }
}

/// The text, cut to the width of a line.
fn shortened(text: &str) -> String {
    if text.chars().count() <= TEXT {
        return text.to_owned();
    }
    text.chars().take(TEXT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::guarantee::Guarantee;
    use crate::oracle::score::Fault;

    const HOUR: Duration = Duration::from_secs(3600);
    const PERIOD: Duration = Duration::from_secs(300);

    fn story_at(seconds: u64) -> Story {
        let violation = Violation {
            guarantee: Guarantee::G2,
            fault: Fault::Unexpected,
            at: Timestamp::ZERO + Duration::from_secs(seconds),
            client: Some(7),
            detail: "a push behind an unsubscribe that had taken effect".to_owned(),
        };
        Story::new(&violation, &Scenario::day(10, 2 * HOUR, PERIOD))
    }

    fn tell(story: &Story, seconds: u64, text: &str) {
        let line = format!("{seconds}.001000000s  client 7  {text}\n");
        story.clone().write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn a_story_is_a_timeline_with_the_violation_in_it() {
        let story = story_at(301);
        tell(&story, 12, "connects");
        tell(&story, 290, "sends unsubscribe");
        tell(&story, 300, "Server push message at 2026-11-22 20:05:00");
        tell(&story, 302, "sends a  b\n");
        let expected = "\
What happened around that moment to client 7, by virtual time and by the server's wall clock:

  day 1 00:00:12.001  2026-11-22 20:00:12   connects
  day 1 00:04:50.001  2026-11-22 20:04:50   sends unsubscribe
  day 1 00:05:00.001  2026-11-22 20:05:00   Server push message at 2026-11-22 20:05:00
> day 1 00:05:01.000  2026-11-22 20:05:01   ^ G2 broke here: unexpected
  day 1 00:05:02.001  2026-11-22 20:05:02   sends a  b\\n
";
        assert_eq!(story.to_string(), expected);
    }

    #[test]
    fn twelve_lines_before_and_three_after_the_violation_are_kept() {
        let story = story_at(301);
        for second in 280..320 {
            tell(&story, second, &format!("line {second}"));
        }
        let told = story.to_string();
        let kept: Vec<_> = told.lines().filter_map(|line| line.split("line ").nth(1)).collect();
        let expected: Vec<_> = (289..=303).map(|second| second.to_string()).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_second_run_stops_early_and_the_story_leaves_out_its_shutdown() {
        let story = story_at(301);
        assert_eq!(story.end(), Timestamp::ZERO + Duration::from_secs(1501));
        tell(&story, 1501, "close Some(1001)");
        assert!(!story.to_string().contains("1001"), "{story}");

        let story = story_at(7201);
        assert_eq!(story.end(), Timestamp::ZERO + 2 * HOUR);
        tell(&story, 7202, "close Some(1001)");
        assert!(story.to_string().contains("1001"), "{story}");
    }

    #[test]
    fn every_line_fits_a_hundred_columns() {
        let story = story_at(301);
        tell(&story, 300, &"é".repeat(500));
        let widest = story.to_string().lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(100));
    }
}
