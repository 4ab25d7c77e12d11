//! The stream as tungstenite sees it: it reads the client's bytes and writes into the client's outbox. So all output
//! for a client goes through one queue, and the library never waits for a client.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{clock::now, fragments::Fragments, outbox::Outbox};

/// The longest request head.
const HEAD_LIMIT: usize = 8 * 1024;

/// Input of one connection, with the outbox in the place of its output.
pub(crate) struct Tap<R> {
    /// The instant at which the client last sent a byte.
    pub(crate) heard: Instant,
    /// The number of reads that returned bytes.
    pub(crate) reads: u64,
    /// Frame boundaries, for the defects that need them.
    pub(crate) fragments: Option<Fragments>,
    input: R,
    outbox: Arc<Outbox>,
    /// Bytes that were read with the request and not passed on: a client may send frames directly after its request.
    ahead: Vec<u8>,
    /// The number of these bytes that belong to the request.
    head: usize,
    /// Whether the handshake is over.
    open: bool,
}

/// The result of reading a request head.
pub(crate) enum Head {
    /// The client left, or its stream failed.
    Gone,
    /// The head is complete.
    Read,
    /// The head is too long.
    TooLong,
}

impl<R: AsyncRead + Unpin> Tap<R> {
    /// Nothing read yet.
    pub(crate) fn new(input: R, outbox: Arc<Outbox>) -> Self {
        let heard = now();
        Self { heard, reads: 0, fragments: None, input, outbox, ahead: Vec::new(), head: 0, open: false }
    }

    /// Reads the whole request head before tungstenite sees any of it: tungstenite rejects a head in very small pieces
    /// as an attack, and bytes after the head as junk.
    pub(crate) async fn read_head(&mut self) -> Head {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                self.head = end + 4;
                return Head::Read;
            }
            if self.ahead.len() > HEAD_LIMIT {
                return Head::TooLong;
            }
            match self.input.read_buf(&mut self.ahead).await {
                Ok(0) | Err(_) => return Head::Gone,
                Ok(_) => {}
            }
        }
    }

    /// From now on the library's own pongs and closes are ignored: the connection writes them itself, in their order.
    pub(crate) fn open(&mut self) {
        self.open = true;
        self.heard = now();
        if let Some(fragments) = &mut self.fragments {
            fragments.feed(&self.ahead);
        }
    }

    /// Reads and discards input until the client ends its side.
    pub(crate) async fn discard(&mut self) {
        let mut bytes = [0; 1024];
        while let Ok(1..) = self.input.read(&mut bytes).await {}
    }

    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let ready = if self.open { self.ahead.len() } else { self.head };
        let passed = ready.min(buffer.remaining());
        buffer.put_slice(&self.ahead[..passed]);
        self.ahead.drain(..passed);
        self.head -= passed.min(self.head);
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Tap<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tap = &mut *self;
        if tap.head > 0 || (tap.open && !tap.ahead.is_empty()) {
            tap.hand_on(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut tap.input).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            tap.heard = now();
            tap.reads += 1;
            if let Some(fragments) = &mut tap.fragments {
                fragments.feed(read);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: Unpin> AsyncWrite for Tap<R> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.open {
            self.outbox.put_raw(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
