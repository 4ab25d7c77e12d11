//! What a stream must offer so that a fan-out can write to it there and then.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

/// A byte stream to a peer: a TCP socket, a TLS stream, one end of a pipe in memory.
///
/// It passes on what it takes as soon as its peer can take it: nobody flushes one that gathers small writes, as a
/// `BufWriter` does.
///
/// The methods have bodies that suit every stream, so that most implementations are empty.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Offers bytes and returns how many were taken, from the front.
    ///
    /// Less than all, or `Pending` for none, means that the stream is blocked: the waker is then registered and woken
    /// as soon as it can take more. The caller is often another task than the one that `cx` wakes: a fan-out offers the
    /// same bytes to thousands of streams from one poll.
    ///
    /// # Errors
    ///
    /// The stream has failed; what it took before does not matter any more.
    fn poll_offer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        offer(bytes, |rest| poll_write_unconstrained(self, cx, rest))
    }

    /// The socket to which the stream passes on what it is offered, unchanged and at once. A fan-out may send to it
    /// without asking the stream, and then offers the stream what the socket refused.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The stream is about to be dropped before its peer ended it: what is on its way may be thrown away.
    fn abort(&mut self) {}

    /// The stream is about to be dropped after its peer ended it: what is on its way has so much time to arrive.
    fn finish(&mut self, _within: Duration) {}
}

impl Socket for TcpStream {
    /// A plain write; the waker is registered only if the socket refused.
    fn poll_offer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        offer(bytes, |rest| {
            loop {
                match self.try_write(rest) {
                    // `try_write` has cleared the readiness, or never had it: until the driver has seen a new socket
                    // writable it refuses without asking the kernel. Where the readiness came back in between, the next
                    // turn tries again; where the task's budget is spent, its waker is woken at once.
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

    /// A peer that reads nothing would else hold what the kernel has for it, for minutes.
    fn abort(&mut self) {
        // It fails on a socket that is gone already, and then there is nothing to throw away.
        self.set_zero_linger().ok();
    }

    /// A peer that reads nothing would else have megabytes of the kernel's for a quarter of an hour, with nobody left who
    /// counts them.
    #[cfg(target_os = "linux")]
    fn finish(&mut self, within: Duration) {
        let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        // It fails on a socket that is gone already.
        rustix::net::sockopt::set_tcp_user_timeout(&*self, millis).ok();
    }
}

impl Socket for DuplexStream {}

/// Writes until everything is taken or the stream blocks. A short write alone promises no wake-up.
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

/// Writes without asking tokio's budget, which is meant for one stream per task: one fan-out polls hundreds.
fn poll_write_unconstrained<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let write = std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes));
    pin!(coop::unconstrained(write)).poll(cx)
}

/// Reads what is there into `buffer`; zero is the end of the stream.
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

    /// More than the kernel holds for a socket that nobody reads.
    const FLOOD: usize = 64 << 20;

    async fn offer_all(stream: &mut impl Socket, bytes: &[u8]) {
        let mut taken = 0;
        poll_fn(|cx| {
            // Offered once per poll: whoever is told less than all relies on being woken.
            taken += match stream.poll_offer(cx, &bytes[taken..]) {
                Poll::Ready(count) => count.unwrap(),
                Poll::Pending => 0,
            };
            if taken == bytes.len() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test]
    async fn a_socket_that_took_less_than_all_wakes_when_it_can_take_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        // A task of its own, so that what wakes the reader does not wake the writer.
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
