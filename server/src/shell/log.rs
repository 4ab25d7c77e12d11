//! The journal: log lines rendered, queued under a limit, and written by a thread of its own.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::SecondsFormat;

use crate::log::{FELL_BACK, LogLine, moves_the_cursor};
use crate::time::{Now, WallTime};
use crate::zone::Zone;

/// How much rendered text may wait for whoever reads the log, in bytes.
const QUEUE_LIMIT: usize = 4 << 20;

/// How much memory the writer keeps for its next batch, in bytes.
const BATCH_KEPT: usize = 64 << 10;

/// How long the writer rests between two batches. A shard wakes it only if nothing waits yet, so that a busy shard saves a
/// system call per line: in a storm of 8,000 handshakes, a sixth of its processor time.
const PAUSE: Duration = Duration::from_millis(2);

/// Where a shell's log lines go. It must not block: a shard waits for it.
pub trait Log: Send + Sync + 'static {
    /// Takes one line, which belongs to the moment `now`.
    fn log(&self, line: &LogLine<'_>, now: Now);
}

/// How the journal renders a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line: `time` (RFC 3339), `event`, and what belongs to the event.
    Json,
    /// For people.
    #[default]
    Text,
}

/// The log of a server, over all of its shards.
///
/// Lines are queued in memory and written in large pieces by a thread of their own. When more than 4 MiB wait, lines
/// are dropped and counted, and a line says how many. An output that fails loses its lines and does no other harm.
#[derive(Debug)]
pub struct Journal {
    format: LogFormat,
    zone: Zone,
    queue: Arc<Queue>,
}

impl Journal {
    /// A journal that writes to `output`.
    ///
    /// # Errors
    ///
    /// The system refuses the thread.
    pub fn new(format: LogFormat, zone: Zone, output: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let (read_end, lost_zone) = (Arc::clone(&queue), zone.clone());
        let describe = move |lost: u64, wall| {
            let text = format!("Lost {lost} log lines that nobody took in time");
            render_note(format, &lost_zone, "lost", &text, wall)
        };
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || read_end.write_to(output, describe))?;
        Ok(Self { format, zone, queue })
    }

    /// How many connections are open now: those whose upgrade was accepted and that are not gone yet.
    pub fn total(&self) -> u64 {
        self.queue.lock().connections
    }

    /// Writes a sentence of the shell's own. `event` is its short name, for machines.
    pub fn note(&self, event: &str, sentence: &str, now: Now) {
        let line = render_note(self.format, &self.zone, event, sentence, now.wall);
        self.queue.push(line, now.wall);
    }

    /// Waits until everything so far is written, at most for `patience`; blocks the thread. Says whether it was.
    pub fn flush(&self, patience: Duration) -> bool {
        let pending = self.queue.lock();
        let is_unwritten = |pending: &mut Pending| !pending.lines.is_empty() || pending.is_writing;
        let waited = self.queue.was_written.wait_timeout_while(pending, patience, is_unwritten);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn render(&self, line: &LogLine<'_>, now: Now, total: u64) -> String {
        match self.format {
            LogFormat::Text => line.render(now.wall, &self.zone, total),
            LogFormat::Json => render_json(line, now.wall, &self.zone, total),
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
        // Counted and queued in one go, else the lines of two shards pass each other and count from one another's past.
        let mut pending = self.queue.lock();
        pending.connections = pending.connections.saturating_add_signed(change);
        let rendered = self.render(line, now, pending.connections);
        self.queue.append(pending, rendered, now.wall);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.has_work.notify_one();
    }
}

/// What the shards put in and the writing thread takes out.
#[derive(Debug, Default)]
struct Queue {
    pending: Mutex<Pending>,
    has_work: Condvar,
    was_written: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    /// How many are open after the last of all lines.
    connections: u64,
    /// Lines that found no room, and when the last of them was written.
    lost: u64,
    lost_at: WallTime,
    is_writing: bool,
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String, wall: WallTime) {
        self.append(self.lock(), line, wall);
    }

    fn append(&self, mut pending: MutexGuard<'_, Pending>, mut line: String, wall: WallTime) {
        line.push('\n');
        // One that is longer than the queue has it to itself.
        if !pending.lines.is_empty() && pending.lines.len() + line.len() > QUEUE_LIMIT {
            pending.lost += 1;
            pending.lost_at = wall;
            return;
        }
        let was_empty = pending.lines.is_empty();
        pending.lines.extend_from_slice(line.as_bytes());
        drop(pending);
        if was_empty {
            self.has_work.notify_one();
        }
    }

    fn write_to(&self, mut output: impl Write, describe_lost: impl Fn(u64, WallTime) -> String) {
        let mut batch = Vec::new();
        while self.take(&mut batch, &describe_lost) {
            // An output that has failed may work again, as a disk that was full does; what was meant for it is lost.
            output.write_all(&batch).and_then(|()| output.flush()).ok();
            batch.clear();
            // Quiet hours should not keep the memory of a burst.
            batch.shrink_to(BATCH_KEPT);
            self.lock().is_writing = false;
            self.was_written.notify_all();
            thread::sleep(PAUSE);
        }
    }

    /// Waits for lines and moves them to `batch`; false when there will be none.
    fn take(&self, batch: &mut Vec<u8>, describe_lost: &impl Fn(u64, WallTime) -> String) -> bool {
        let idle = |pending: &mut Pending| pending.lines.is_empty() && !pending.is_closed;
        let pending = self.has_work.wait_while(self.lock(), idle);
        let mut pending = pending.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(batch, &mut pending.lines);
        if pending.lost > 0 {
            let line = describe_lost(std::mem::take(&mut pending.lost), pending.lost_at);
            batch.extend_from_slice(line.as_bytes());
            batch.push(b'\n');
        }
        pending.is_writing = !batch.is_empty();
        pending.is_writing
    }
}

fn render_note(format: LogFormat, zone: &Zone, event: &str, sentence: &str, wall: WallTime) -> String {
    match format {
        LogFormat::Text => sentence.to_owned(),
        LogFormat::Json => {
            let mut object = Object::new(event, wall, zone);
            object.text("text", sentence);
            object.end()
        }
    }
}

fn render_json(line: &LogLine<'_>, wall: WallTime, zone: &Zone, total: u64) -> String {
    let mut object = Object::new(line.event(), wall, zone);
    match *line {
        LogLine::Closing { reason } => {
            object.number("code", u64::from(reason.code()));
            object.text("reason", reason.sentence());
        }
        LogLine::Connected | LogLine::Disconnected => object.number("total", total),
        LogLine::Pushed { cycle, subscribers } => {
            object.number("cycle", cycle);
            object.number("subscribers", subscribers);
        }
        LogLine::Received { text } => object.text("text", text),
        LogLine::Refused { status } => object.number("status", u64::from(status)),
        LogLine::Skipped { cycles } => object.number("cycles", cycles),
        LogLine::FellBack => object.text("text", FELL_BACK),
        LogLine::Dead | LogLine::Subscribed | LogLine::Unsubscribed => {}
    }
    object.end()
}

/// A JSON object under construction; its keys keep the order in which they were written.
struct Object(String);

impl Object {
    fn new(event: &str, wall: WallTime, zone: &Zone) -> Self {
        let mut object = Self("{\"time\":".to_owned());
        object.push_string(&rfc3339(wall, zone));
        object.text("event", event);
        object
    }

    fn number(&mut self, key: &str, value: u64) {
        self.push_key(key);
        write!(self.0, "{value}").expect("writing to a string does not fail");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.push_key(key);
        self.push_string(value);
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn push_key(&mut self, key: &str) {
        self.0.push(',');
        self.push_string(key);
        self.0.push(':');
    }

    fn push_string(&mut self, value: &str) {
        let json = serde_json::to_string(value).expect("a string is always JSON");
        // JSON allows all characters as they are but those below U+0020.
        if !json.contains(moves_the_cursor) {
            return self.0.push_str(&json);
        }
        for character in json.chars() {
            if moves_the_cursor(character) {
                write!(self.0, "\\u{:04x}", u32::from(character)).expect("writing to a string does not fail");
            } else {
                self.0.push(character);
            }
        }
    }
}

/// `2026-11-22T12:00:00.000+08:00`.
fn rfc3339(wall: WallTime, zone: &Zone) -> String {
    let offset = chrono::FixedOffset::east_opt(zone.offset(wall.as_unix_seconds()));
    let utc = chrono::DateTime::from_timestamp_nanos(wall.as_unix_nanos());
    match offset {
        Some(offset) => utc.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Millis, false),
        None => utc.to_rfc3339_opts(SecondsFormat::Millis, false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const NOON: Now =
        Now { at: crate::time::Timestamp::ZERO, wall: WallTime::from_unix_seconds(1_795_348_800) };

    /// An output whose every write waits for leave.
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
    fn each_line_counts_from_the_one_before_whichever_shards_they_come_from() {
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
    fn what_finds_no_room_is_counted_and_the_count_is_written() {
        let (journal, leave, written) = gated(LogFormat::Text);
        let text = "x".repeat(1 << 20);
        // A mebibyte and a few bytes each: at most three fit under 4 MiB, and the writer holds at most four more.
        for _ in 0..20 {
            journal.log(&LogLine::Received { text: &text }, NOON);
        }
        assert!(!journal.flush(Duration::ZERO), "nobody has taken anything yet");
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
    fn a_log_that_nobody_reads_any_more_holds_nobody_up() {
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
