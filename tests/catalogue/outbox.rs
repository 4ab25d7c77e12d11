//! The output that a client has not accepted yet: whole frames in order, bounded in bytes.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::AsyncWrite,
    time::{Duration, Instant},
};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame,
    frame::{Frame, coding::CloseCode},
};

use super::{clock::now, defect::Defect};

/// An encoded frame. A push is encoded once, and all outboxes share it.
pub(crate) type Encoded = Arc<[u8]>;

/// The bytes of a frame as a server sends it.
pub(crate) fn encode(frame: Frame) -> Encoded {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("a Vec accepts every frame");
    bytes.into()
}

/// One client's queue. Any task may add a frame. Only the connection's own task writes, so no other task ever waits
/// for the client.
pub(crate) struct Outbox {
    limit: usize,
    /// Bytes queued in the whole server.
    budget: Arc<AtomicUsize>,
    defect: Option<Defect>,
    pending: Mutex<Pending>,
}

struct Pending {
    frames: VecDeque<Encoded>,
    /// The number of bytes of the first frame that the client has accepted.
    begun: usize,
    bytes: usize,
    /// Whether the handshake is over, so that frames make sense.
    open: bool,
    /// Nothing is added any more. The queued frames are still written, and then the Close.
    sealed: bool,
    close: Option<Encoded>,
    /// The instant at which the client last accepted bytes of a long queue.
    moved: Instant,
    /// The waker of the connection's task, which awaits writing, reading and sealing.
    task: Option<Waker>,
}

impl Outbox {
    /// An empty queue of at most `limit` bytes.
    pub(crate) fn new(limit: usize, budget: Arc<AtomicUsize>, defect: Option<Defect>) -> Arc<Self> {
        let pending = Pending {
            frames: VecDeque::new(),
            begun: 0,
            bytes: 0,
            open: false,
            sealed: false,
            close: None,
            moved: now(),
            task: None,
        };
        Arc::new(Self { limit, budget, defect, pending: Mutex::new(pending) })
    }

    /// Queues a frame. If the queue is then over its limit, the client is closed with 1013.
    pub(crate) fn offer(&self, frame: &Encoded) {
        let mut pending = self.pending();
        if pending.sealed {
            return;
        }
        if self.overflows(&pending, frame.len()) {
            self.discard(&mut pending);
            self.seal_with(&mut pending, Some(CloseCode::Again));
        } else {
            self.push(&mut pending, frame.clone());
        }
        pending.wake();
    }

    /// Queues bytes of the handshake, which do not count against the limit.
    pub(crate) fn put_raw(&self, bytes: &[u8]) {
        let mut pending = self.pending();
        self.push(&mut pending, bytes.into());
        pending.wake();
    }

    /// From now on frames may be sent.
    pub(crate) fn open(&self) {
        self.pending().open = true;
    }

    /// Ends the output after the queued frames and, on an open connection, a Close with this code.
    pub(crate) fn close(&self, code: CloseCode) {
        let mut pending = self.pending();
        self.seal_with(&mut pending, Some(code));
        pending.wake();
    }

    /// Ends the output after the queued frames and the answer to the client's own Close.
    pub(crate) fn answer_close(&self, frame: Option<CloseFrame>) {
        let mut pending = self.pending();
        if !pending.sealed {
            pending.sealed = true;
            pending.close = Some(encode(Frame::close(frame)));
        }
        pending.wake();
    }

    /// Ends the output after the queued frames.
    pub(crate) fn seal(&self) {
        let mut pending = self.pending();
        self.seal_with(&mut pending, None);
        pending.wake();
    }

    /// Drops every frame of which the client has accepted no byte.
    pub(crate) fn discard_unbegun(&self) {
        self.discard(&mut self.pending());
    }

    /// Whether the client has accepted all frames.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending().bytes == 0
    }

    /// The instant at which the client last accepted bytes while its input was not read, its only sign of life then.
    pub(crate) fn moved(&self) -> Instant {
        self.pending().moved
    }

    /// Resolves once the output is ended.
    pub(crate) async fn sealed(&self) {
        poll_fn(|cx| self.await_that(cx, |pending| pending.sealed)).await;
    }

    /// Ready while the queue is short enough to read more input, which may bring replies.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.await_that(cx, |pending| !self.is_long(pending) || self.has(Defect::GrowsOutbox))
    }

    /// Resolves when the client has accepted all frames, or waiting for it is pointless.
    pub(crate) async fn emptied(&self) {
        while !self.is_empty() && !self.pending().sealed {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Writes the queued frames as the client accepts them. Returns when all are written and the output was ended.
    pub(crate) async fn write_to<W: AsyncWrite + Unpin>(&self, output: &mut W) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx, output)).await?;
        poll_fn(|cx| Pin::new(&mut *output).poll_shutdown(cx)).await
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &self,
        cx: &mut Context<'_>,
        output: &mut W,
    ) -> Poll<io::Result<()>> {
        let mut pending = self.pending();
        pending.task = Some(cx.waker().clone());
        loop {
            if self.has(Defect::ServesNewestFirst) && pending.begun == 0 {
                pending.turn_back_to_front();
            }
            let Some(frame) = self.next(&mut pending) else {
                break;
            };
            let taken = ready!(Pin::new(&mut *output).poll_write(cx, &frame[pending.begun..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.took(&mut pending, taken, frame.len());
        }
        ready!(Pin::new(output).poll_flush(cx))?;
        if pending.sealed { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// The next frame to write; the Close is the last.
    fn next(&self, pending: &mut Pending) -> Option<Encoded> {
        if pending.frames.is_empty()
            && let Some(close) = pending.close.take()
        {
            self.push(pending, close);
        }
        pending.frames.front().cloned()
    }

    /// Records that the client accepted bytes of the first frame.
    fn took(&self, pending: &mut Pending, taken: usize, length: usize) {
        if self.is_long(pending) {
            pending.moved = now();
        }
        pending.begun += taken;
        pending.bytes -= taken;
        self.budget.fetch_sub(taken, Ordering::Relaxed);
        if pending.begun == length {
            pending.frames.pop_front();
            pending.begun = 0;
        }
    }

    fn overflows(&self, pending: &Pending, more: usize) -> bool {
        let held = match self.defect {
            Some(Defect::GrowsOutbox) => return false,
            Some(Defect::SharesOneBudget) => self.budget.load(Ordering::Relaxed),
            _ => pending.bytes,
        };
        held + more > self.limit
    }

    fn is_long(&self, pending: &Pending) -> bool {
        pending.bytes * 2 > self.limit
    }

    fn push(&self, pending: &mut Pending, frame: Encoded) {
        pending.bytes += frame.len();
        self.budget.fetch_add(frame.len(), Ordering::Relaxed);
        pending.frames.push_back(frame);
    }

    fn discard(&self, pending: &mut Pending) {
        let kept = usize::from(pending.begun > 0);
        let dropped: usize = pending.frames.drain(kept..).map(|frame| frame.len()).sum();
        pending.bytes -= dropped;
        self.budget.fetch_sub(dropped, Ordering::Relaxed);
    }

    fn seal_with(&self, pending: &mut Pending, code: Option<CloseCode>) {
        if pending.sealed {
            return;
        }
        pending.sealed = true;
        if let (true, Some(code)) = (pending.open, code) {
            let close = encode(Frame::close(Some(CloseFrame { code, reason: "".into() })));
            pending.close = Some(close);
        }
    }

    fn await_that(&self, cx: &Context<'_>, holds: impl Fn(&Pending) -> bool) -> Poll<()> {
        let mut pending = self.pending();
        if holds(&pending) {
            return Poll::Ready(());
        }
        pending.task = Some(cx.waker().clone());
        Poll::Pending
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("no task panics while it holds the lock")
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let left = self.pending().bytes;
        self.budget.fetch_sub(left, Ordering::Relaxed);
    }
}

impl Pending {
    fn turn_back_to_front(&mut self) {
        if let Some(newest) = self.frames.pop_back() {
            self.frames.push_front(newest);
        }
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}
