//! The queue between the shards and the thread that writes the log.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::time::WallTime;

/// The most rendered text that may wait for the writer, in bytes.
const QUEUE_LIMIT: usize = 4 << 20;

/// The memory that the writer keeps for its next batch, in bytes.
const BATCH_KEPT: usize = 64 << 10;

/// The pause of the writer between two batches. A shard wakes the writer only if the queue was empty, so the pause
/// saves a busy shard one system call per line: in a storm of 8,000 handshakes, a sixth of its processor time.
const PAUSE: Duration = Duration::from_millis(2);

/// The queue that the shards fill and the writing thread empties.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    has_work: Condvar,
    was_written: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    lines: Vec<u8>,
    /// The number of open connections after the last line.
    pub(super) connections: u64,
    /// The number of dropped lines, and the time of the last of them.
    lost: u64,
    lost_at: WallTime,
    is_writing: bool,
    is_closed: bool,
}

impl Queue {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line, or counts it as lost.
    pub(super) fn push(&self, line: String, wall: WallTime) {
        self.append(self.lock(), line, wall);
    }

    /// The same as [`Queue::push`], under a lock that is held already.
    pub(super) fn append(&self, mut pending: MutexGuard<'_, Pending>, mut line: String, wall: WallTime) {
        line.push('\n');
        // An empty queue accepts any line, even one longer than the limit.
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

    /// Runs the writing thread until [`Queue::close`].
    pub(super) fn write_to(&self, mut output: impl Write, describe_lost: impl Fn(u64, WallTime) -> String) {
        let mut batch = Vec::new();
        while self.take(&mut batch, &describe_lost) {
            // An output that has failed may work again later, such as a disk that was full. The lines of this batch
            // are lost.
            output.write_all(&batch).and_then(|()| output.flush()).ok();
            batch.clear();
            // A burst of lines should not occupy memory for ever.
            batch.shrink_to(BATCH_KEPT);
            self.lock().is_writing = false;
            self.was_written.notify_all();
            thread::sleep(PAUSE);
        }
    }

    /// Blocks the thread until all lines so far are written, at most for `patience`. Returns whether they were.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let is_unwritten = |pending: &mut Pending| !pending.lines.is_empty() || pending.is_writing;
        let waited = self.was_written.wait_timeout_while(self.lock(), patience, is_unwritten);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Ends the writer after it has written all lines.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.has_work.notify_one();
    }

    /// Waits for lines and moves them to `batch`; false once the queue is closed and empty.
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
