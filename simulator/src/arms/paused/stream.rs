//! The stream that a server on the paused arm serves: one end of a simulated link, in memory.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::network::link::{End, LinkId};

/// How many bytes wait for a server that does not read, as in a kernel's receive buffer.
pub(super) const RECEIVE_BUFFER: usize = 16 << 10;

/// One connection of the simulated network, as a byte stream that an async server can read and write.
///
/// A TCP socket behaves alike: what was written before a shutdown arrives, a reset fails both directions, and dropping
/// the stream while input is unread resets the connection.
#[derive(Debug)]
pub struct Stream {
    pipe: Arc<Mutex<Pipe>>,
    activity: Arc<Activity>,
}

/// Tells the world that the server has acted, and on which links.
#[derive(Debug, Default)]
pub(super) struct Activity {
    links: Mutex<Vec<LinkId>>,
    acted: Notify,
}

impl Activity {
    /// Waits until the server has written, shut down or dropped a stream since [`Activity::take_links`].
    pub(super) async fn wait(&self) {
        self.acted.notified().await;
    }

    /// Takes the links on which the server has acted, in order.
    pub(super) fn take_links(&self) -> Vec<LinkId> {
        std::mem::take(&mut *lock(&self.links))
    }

    fn mark(&self, pipe: &mut Pipe) {
        if !pipe.is_marked {
            pipe.is_marked = true;
            lock(&self.links).push(pipe.link);
            self.acted.notify_one();
        }
    }
}

/// The state between the world and a [`Stream`].
#[derive(Debug)]
pub(super) struct Pipe {
    link: LinkId,
    inbound: VecDeque<u8>,
    inbound_end: Option<End>,
    /// The receive buffer has refused bytes.
    pub(super) is_full: bool,
    /// The bytes that the server has written since the world last collected them.
    pub(super) outbound: Vec<u8>,
    /// How many more bytes the server may write until then: what the link takes, so that nothing is buffered between.
    room: usize,
    /// The server wanted to write more than there was room for, and waits for room.
    pub(super) is_refused: bool,
    pub(super) is_shut: bool,
    /// How the server has dropped the stream.
    pub(super) dropped: Option<End>,
    is_marked: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// Hands bytes to the server, as many as its receive buffer takes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(RECEIVE_BUFFER - self.inbound.len());
        self.inbound.extend(&bytes[..taken]);
        self.is_full |= taken < bytes.len();
        wake(&mut self.reader);
        taken
    }

    /// Whether bytes have arrived that the server has not read.
    pub(super) fn has_unread(&self) -> bool {
        !self.inbound.is_empty()
    }

    /// Ends the server's input.
    pub(super) fn end(&mut self, end: End) {
        self.inbound_end = Some(end);
        wake(&mut self.reader);
        wake(&mut self.writer);
    }

    /// Sets how many bytes the server may write.
    pub(super) fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Lets the server write `room` more bytes, and wakes it if it waits for that.
    pub(super) fn make_room(&mut self, room: usize) {
        self.room = room;
        if room > 0 {
            wake(&mut self.writer);
        }
    }

    /// Notes that the world has collected the server's actions.
    pub(super) fn unmark(&mut self) {
        self.is_marked = false;
    }

    fn is_reset(&self) -> bool {
        self.inbound_end == Some(End::Reset)
    }
}

/// Both sides of a new connection.
pub(super) fn pipe(link: LinkId, activity: &Arc<Activity>, room: usize) -> (Arc<Mutex<Pipe>>, Stream) {
    let pipe = Arc::new(Mutex::new(Pipe {
        link,
        inbound: VecDeque::new(),
        inbound_end: None,
        is_full: false,
        outbound: Vec::new(),
        room,
        is_refused: false,
        is_shut: false,
        dropped: None,
        is_marked: false,
        reader: None,
        writer: None,
    }));
    let stream = Stream { pipe: Arc::clone(&pipe), activity: Arc::clone(activity) };
    (pipe, stream)
}

/// Locks a mutex even if a server panicked while it held the lock: the world goes on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.pipe);
        if pipe.is_reset() {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if pipe.inbound.is_empty() && pipe.inbound_end.is_none() {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = pipe.inbound.as_slices();
        let length = front.len().min(buffer.remaining());
        buffer.put_slice(&front[..length]);
        pipe.inbound.drain(..length);
        if pipe.is_full && pipe.inbound.is_empty() {
            self.activity.mark(&mut pipe);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.pipe);
        if pipe.is_reset() || pipe.is_shut {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let length = bytes.len().min(pipe.room);
        pipe.is_refused = length < bytes.len();
        if length == 0 && !bytes.is_empty() {
            pipe.writer = Some(cx.waker().clone());
            self.activity.mark(&mut pipe);
            return Poll::Pending;
        }
        pipe.outbound.extend_from_slice(&bytes[..length]);
        pipe.room -= length;
        self.activity.mark(&mut pipe);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.pipe);
        pipe.is_shut = true;
        self.activity.mark(&mut pipe);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        let end = if pipe.inbound.is_empty() { End::Finished } else { End::Reset };
        pipe.dropped = Some(end);
        self.activity.mark(&mut pipe);
    }
}
