//! The trait of a stream to which a fan-out can write at once.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

/// A byte stream to a client: a TCP socket, a TLS stream, one end of a pipe in memory.
///
/// The stream must pass on accepted bytes as soon as the client can accept them. A stream that gathers small writes,
/// such as a `BufWriter`, does not fit, as a fan-out does not flush.
///
/// The default methods fit every stream, so that most implementations are empty.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Offers bytes and returns the number of bytes accepted, counted from the front.
    ///
    /// If that is less than all bytes, or `Pending` for none, the stream is blocked: it must register the waker and
    /// wake it as soon as it can accept more. The caller is often another task than the one that `cx` wakes: a fan-out
    /// offers the same bytes to thousands of streams from one poll.
    ///
    /// # Errors
    ///
    /// The stream has failed. The bytes that it accepted before may be lost.
    fn poll_offer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        offer(bytes, |rest| poll_write_unconstrained(self, cx, rest))
    }

    /// The socket to which the stream passes its bytes, unchanged and at once; `None` if there is none. A fan-out may
    /// send to the socket directly, and then offers the stream the bytes that the socket refused.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The stream is about to be dropped before the client ended it: unsent bytes may be discarded.
    fn abort(&mut self) {}

    /// The stream is about to be dropped after the client ended it: unsent bytes have the time `within` to arrive.
    fn finish(&mut self, _within: Duration) {}
}

impl Socket for TcpStream {
    /// A plain write. It registers the waker only if the socket refuses bytes.
    fn poll_offer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        offer(bytes, |rest| {
            loop {
                match self.try_write(rest) {
                    // `try_write` has cleared the readiness, or the readiness was never set: tokio refuses without
                    // asking the kernel until its driver has seen that a new socket is writable. If the readiness has
                    // come back meanwhile, the next turn tries again. If the task's budget is spent, its waker is
                    // woken at once.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.poll_write_ready(cx))?,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    result => return Poll::Ready(result),
                }
            }
        })
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }

    /// Makes the kernel discard unsent bytes. Otherwise it would keep them for minutes for a client that does not read.
    fn abort(&mut self) {
        // It fails on a socket that is closed already, which has no unsent bytes.
        self.set_zero_linger().ok();
    }

    /// Limits the time of the kernel for unsent bytes. Otherwise a client that does not read could occupy megabytes of
    /// the kernel's memory for a quarter of an hour, and the server would not count them.
    #[cfg(target_os = "linux")]
    fn finish(&mut self, within: Duration) {
        let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        // It fails on a socket that is closed already.
        rustix::net::sockopt::set_tcp_user_timeout(&*self, millis).ok();
    }
}

impl Socket for DuplexStream {}

/// Writes until all bytes are accepted or the stream blocks. After a short write alone the stream would not wake the
/// task.
fn offer(
    bytes: &[u8],
    mut poll_write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    let mut taken = 0;
    while taken < bytes.len() {
        match poll_write(&bytes[taken..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => taken += count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if taken == 0 => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(taken))
}

/// Writes without tokio's task budget. The budget is meant for one stream per task, but one fan-out polls hundreds.
fn poll_write_unconstrained<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let write = std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes));
    pin!(coop::unconstrained(write)).poll(cx)
}

/// Reads the available bytes into `buffer` and returns their number; zero means the end of the stream.
pub(super) fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// More bytes than the kernel holds for a socket whose client does not read.
    const FLOOD: usize = 64 << 20;

    async fn offer_all(stream: &mut impl Socket, bytes: &[u8]) {
        let mut taken = 0;
        poll_fn(|cx| {
            // Offered once per poll: after a partial write the task depends on its wake-up.
            taken += match stream.poll_offer(cx, &bytes[taken..]) {
                Poll::Ready(count) => count.unwrap(),
                Poll::Pending => 0,
            };
            if taken == bytes.len() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test]
    async fn a_socket_that_accepted_a_part_wakes_the_task_when_it_can_accept_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        // A separate task, so that the wake-ups of the reader do not wake the writer.
        let reader = tokio::spawn(async move {
            let mut bytes = Vec::new();
            far.take(FLOOD as u64).read_to_end(&mut bytes).await.unwrap();
            bytes.len()
        });
        offer_all(&mut near, &vec![7; FLOOD]).await;
        assert_eq!(reader.await.unwrap(), FLOOD);
    }

    #[tokio::test]
    async fn one_poll_may_write_to_more_streams_than_a_task_has_budget_for() {
        let mut pipes: Vec<_> = (0..1000).map(|_| tokio::io::duplex(64)).collect();
        let offered = poll_fn(|cx| {
            let offers = pipes.iter_mut().map(|(near, _)| near.poll_offer(cx, b"push"));
            Poll::Ready(offers.filter(|offer| matches!(offer, Poll::Ready(Ok(4)))).count())
        });
        assert_eq!(offered.await, 1000);
    }
}
