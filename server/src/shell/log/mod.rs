//! The journal renders log lines, queues them under a limit, and writes them on its own thread.

mod json;
mod queue;

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::log::LogLine;
use crate::time::{Now, WallTime};
use crate::zone::Zone;

use queue::Queue;

/// The destination of a shell's log lines. It must not block, because a shard waits for it.
pub trait Log: Send + Sync + 'static {
    /// Logs one event, which happened at `now`.
    fn log(&self, line: &LogLine<'_>, now: Now);
}

/// The format of the journal's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum LogFormat {
    /// One JSON object per line: `time` (RFC 3339), `event`, and the data of the event.
    Json,
    /// One line of text per event.
    #[default]
    Text,
}

/// The log of a server, shared by all of its shards.
///
/// The journal queues lines in memory and writes them in large pieces on its own thread. When more than 4 MiB wait, it
/// drops and counts lines, and logs their number. If the output fails, its lines are lost, with no other effect.
#[derive(Debug)]
pub struct Journal {
    format: LogFormat,
    zone: Zone,
    queue: Arc<Queue>,
}

impl Journal {
    /// A journal that writes to `output`. `zone` is the time zone of all dates.
    ///
    /// # Errors
    ///
    /// The system refuses to start the thread.
    pub fn new(format: LogFormat, zone: Zone, output: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let (read_end, lost_zone) = (Arc::clone(&queue), zone.clone());
        let describe = move |lost: u64, wall| {
            let text = format!("Lost {lost} log lines that were not read in time");
            render_note(format, &lost_zone, "lost", &text, wall)
        };
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || read_end.write_to(output, describe))?;
        Ok(Self { format, zone, queue })
    }

    /// The number of open connections: those whose upgrade was accepted and that are not gone yet.
    pub fn total(&self) -> u64 {
        self.queue.lock().connections
    }

    /// Logs a sentence of the shell. `event` is its short name in the JSON format.
    pub fn note(&self, event: &str, sentence: &str, now: Now) {
        let line = render_note(self.format, &self.zone, event, sentence, now.wall);
        self.queue.push(line, now.wall);
    }

    /// Blocks the thread until all lines so far are written, at most for `patience`. Returns whether they were.
    pub fn flush(&self, patience: Duration) -> bool {
        self.queue.flush(patience)
    }

    fn render(&self, line: &LogLine<'_>, now: Now, total: u64) -> String {
        match self.format {
            LogFormat::Text => line.render(now.wall, &self.zone, total),
            LogFormat::Json => json::line(line, now.wall, &self.zone, total),
        }
    }
}

impl Log for Journal {
    fn log(&self, line: &LogLine<'_>, now: Now) {
        let change = match line {
            LogLine::Connected => 1,
            LogLine::Disconnected => -1,
            _ => return self.queue.push(self.render(line, now, 0), now.wall),
        };
        // Counted and queued under one lock. Otherwise lines of two shards could be queued in another order than
        // counted.
        let mut pending = self.queue.lock();
        pending.connections = pending.connections.saturating_add_signed(change);
        let rendered = self.render(line, now, pending.connections);
        self.queue.append(pending, rendered, now.wall);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn render_note(format: LogFormat, zone: &Zone, event: &str, sentence: &str, wall: WallTime) -> String {
    match format {
        LogFormat::Text => sentence.to_owned(),
        LogFormat::Json => json::note(event, sentence, wall, zone),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const NOON: Now =
        Now { at: crate::time::Timestamp::ZERO, wall: WallTime::from_unix_seconds(1_795_348_800) };

    /// An output whose every write waits for a permission.
    struct Gate {
        leave: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.leave.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(format: LogFormat) -> (Journal, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (give_leave, leave) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate { leave, written: Arc::clone(&written) };
        (Journal::new(format, Zone::Fixed(8 * 3600), gate).unwrap(), give_leave, written)
    }

    fn lines(written: &Mutex<Vec<u8>>) -> Vec<String> {
        let bytes = written.lock().unwrap();
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_total_goes_up_and_down_and_is_in_the_line() {
        let (journal, leave, written) = gated(LogFormat::Text);
        (0..3).for_each(|_| leave.send(()).unwrap());
        journal.log(&LogLine::Connected, NOON);
        journal.log(&LogLine::Connected, NOON);
        assert_eq!(journal.total(), 2);
        journal.log(&LogLine::Disconnected, NOON);
        assert!(journal.flush(PATIENCE));
        assert_eq!(
            lines(&written),
            [
                "Client connected. Total connections: 1",
                "Client connected. Total connections: 2",
                "Client disconnected. Total connections: 1"
            ]
        );
    }

    #[test]
    fn the_total_of_each_line_follows_from_the_line_before_across_shards() {
        let (journal, leave, written) = gated(LogFormat::Text);
        (0..40_000).for_each(|_| leave.send(()).unwrap());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for line in [LogLine::Connected, LogLine::Disconnected].iter().cycle().take(20_000) {
                        journal.log(line, NOON);
                    }
                });
            }
        });
        assert!(journal.flush(PATIENCE));
        let mut total = 0_i64;
        for line in lines(&written) {
            total += if line.starts_with("Client connected") { 1 } else { -1 };
            assert!(line.ends_with(&format!(" {total}")), "{line:?} where {total} are open");
        }
    }

    #[test]
    fn a_json_line_is_an_object_with_the_time_in_the_zone() {
        let (journal, leave, written) = gated(LogFormat::Json);
        (0..2).for_each(|_| leave.send(()).unwrap());
        journal.log(&LogLine::Received { text: "a\n\"b\"" }, NOON);
        journal.note("listening", "Listening on ws://[::1]:80/ws", NOON);
        assert!(journal.flush(PATIENCE));
        assert_eq!(
            lines(&written),
            [
                r#"{"time":"2026-11-22T20:00:00.000+08:00","event":"received","text":"a\n\"b\""}"#,
                r#"{"time":"2026-11-22T20:00:00.000+08:00","event":"listening","text":"Listening on ws://[::1]:80/ws"}"#
            ]
        );
    }

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_their_number_is_logged() {
        let (journal, leave, written) = gated(LogFormat::Text);
        let text = "x".repeat(1 << 20);
        // A mebibyte and a few bytes each: at most three fit under 4 MiB, and the writer holds at most four more.
        for _ in 0..20 {
            journal.log(&LogLine::Received { text: &text }, NOON);
        }
        assert!(!journal.flush(Duration::ZERO), "the output has accepted nothing yet");
        (0..4).for_each(|_| leave.send(()).unwrap());
        assert!(journal.flush(PATIENCE));
        journal.log(&LogLine::Dead, NOON);
        assert!(journal.flush(PATIENCE));
        let lines = lines(&written);
        let (lost, kept) = lines.iter().partition::<Vec<_>, _>(|line| line.starts_with("Lost "));
        let lost = lost.iter().map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap());
        assert_eq!(kept.len() - 1 + lost.sum::<usize>(), 20);
    }

    #[test]
    fn a_log_whose_reader_has_gone_blocks_no_shard() {
        let (journal, leave, _written) = gated(LogFormat::Text);
        drop(leave);
        for _ in 0..10 {
            journal.log(&LogLine::Dead, NOON);
        }
        assert!(journal.flush(PATIENCE));
        journal.log(&LogLine::Connected, NOON);
        assert_eq!(journal.total(), 1);
        assert!(journal.flush(PATIENCE));
    }
}
