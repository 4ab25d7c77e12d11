//! A scripted stream, and a shard with its clock and log. The time is that of the paused runtime.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::announcer::Announcer;
use crate::client_frames;
use crate::config::Config;
use crate::log::LogLine;
use crate::shell::clock::Clock;
use crate::shell::log::Log;
use crate::shell::shard::Shard;
use crate::shell::shard::socket::Socket;
use crate::time::{Now, Timestamp, WallTime};
use crate::zone::Zone;

pub(super) const REQUEST: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

pub(super) const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

pub(super) const PERIOD: Duration = Duration::from_secs(300);

/// A text frame of a server.
pub(super) fn server_text(text: &str) -> Vec<u8> {
    [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A Close frame of a server.
pub(super) fn server_close(code: u16, reason: &str) -> Vec<u8> {
    let length = u8::try_from(reason.len() + 2).unwrap();
    [&[0x88, length], &code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// The push of the cycle that was due this many periods after the start, which is noon.
pub(super) fn push(cycle: u32) -> Vec<u8> {
    let text = format!("Server push message at 2026-11-22 12:{:02}:00", 5 * cycle);
    server_text(&text)
}

/// The time `passed` after the start, which is noon.
pub(super) fn noon_and(passed: Duration) -> Now {
    Now { at: Timestamp::ZERO + passed, wall: WallTime::from_unix_seconds(1_795_348_800).after(passed) }
}

/// The result of a read. A read of an empty queue is pending.
pub(super) enum Read {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// The result of a write. With an empty queue a write accepts all bytes.
pub(super) enum Write {
    /// Accepts at most this many bytes.
    Take(usize),
    /// Refuses all bytes until [`Peer::unblock`].
    Block,
    Fail,
}

#[derive(Default)]
struct Script {
    reads: VecDeque<Read>,
    writes: VecDeque<Write>,
    /// Input that becomes readable as soon as the server writes.
    answer: Option<Vec<u8>>,
    written: Vec<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    is_shut: bool,
    is_aborted: bool,
    is_dropped: bool,
}

/// The server's end of the stream.
pub(super) struct Scripted(Rc<RefCell<Script>>);

/// The test's end of the stream.
#[derive(Clone, Default)]
pub(super) struct Peer(Rc<RefCell<Script>>);

impl Peer {
    /// A peer that has sent its request already.
    pub(super) fn upgrading() -> Self {
        let peer = Self::default();
        peer.send(Read::Bytes(REQUEST.to_vec()));
        peer
    }

    pub(super) fn stream(&self) -> Scripted {
        Scripted(Rc::clone(&self.0))
    }

    pub(super) fn send(&self, read: Read) {
        let mut script = self.0.borrow_mut();
        script.reads.push_back(read);
        if let Some(reader) = script.reader.take() {
            reader.wake();
        }
    }

    pub(super) fn send_text(&self, text: &str) {
        self.send(Read::Bytes(client_frames::text(text)));
    }

    pub(super) fn plan(&self, writes: impl IntoIterator<Item = Write>) {
        self.0.borrow_mut().writes.extend(writes);
    }

    pub(super) fn answer_the_next_write(&self, text: &str) {
        self.0.borrow_mut().answer = Some(client_frames::text(text));
    }

    pub(super) fn unblock(&self) {
        let mut script = self.0.borrow_mut();
        assert!(matches!(script.writes.pop_front(), Some(Write::Block)), "not blocked");
        let writer = script.writer.take();
        writer.expect("a refused write registers its waker").wake();
    }

    /// The bytes that the server wrote since the last call.
    pub(super) fn received(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().written)
    }

    pub(super) fn unread(&self) -> usize {
        self.0.borrow().reads.len()
    }

    pub(super) fn unread_bytes(&self) -> usize {
        let length = |read: &Read| if let Read::Bytes(bytes) = read { bytes.len() } else { 0 };
        self.0.borrow().reads.iter().map(length).sum()
    }

    pub(super) fn is_shut(&self) -> bool {
        self.0.borrow().is_shut
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.0.borrow().is_aborted
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.0.borrow().is_dropped
    }
}

impl Socket for Scripted {
    fn abort(&mut self) {
        self.0.borrow_mut().is_aborted = true;
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.0.borrow_mut().is_dropped = true;
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut script = self.0.borrow_mut();
        match script.reads.pop_front() {
            None => {
                script.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Some(Read::Bytes(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
                buffer.put_slice(&bytes);
                if !rest.is_empty() {
                    script.reads.push_front(Read::Bytes(rest));
                }
            }
            Some(Read::End) => {}
            Some(Read::Reset) => return Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.0.borrow_mut();
        assert!(!script.is_shut, "a write after the end of the stream");
        let count = match script.writes.front() {
            None => bytes.len(),
            Some(Write::Take(most)) => bytes.len().min(*most),
            Some(Write::Fail) => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
            Some(Write::Block) => {
                script.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        script.writes.pop_front();
        script.written.extend_from_slice(&bytes[..count]);
        if let Some(answer) = script.answer.take() {
            script.reads.push_back(Read::Bytes(answer));
            if let Some(reader) = script.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().is_shut = true;
        Poll::Ready(Ok(()))
    }
}

/// A clock that begins at noon and follows the runtime's time.
struct NoonClock(Instant);

impl Clock for NoonClock {
    fn now(&self) -> Now {
        noon_and(self.0.elapsed())
    }

    fn instant(&self, at: Timestamp) -> Instant {
        self.0 + at.since(Timestamp::ZERO)
    }
}

/// A log that stores the names of the events.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<Vec<&'static str>>);

impl Events {
    pub(super) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Log for Events {
    fn log(&self, line: &LogLine<'_>, _now: Now) {
        self.0.lock().unwrap().push(line.event());
    }
}

/// A shard of a server that has just started.
pub(super) struct Fixture<S: Socket> {
    pub(super) shard: Shard<S>,
    pub(super) announcer: Arc<Mutex<Announcer>>,
    pub(super) events: Arc<Events>,
    clock: Arc<NoonClock>,
}

impl<S: Socket> Fixture<S> {
    #[expect(clippy::disallowed_methods, reason = "the origin of a virtual clock is the runtime's")]
    pub(super) fn new(config: Config) -> Self {
        let announcer = Announcer::new(Timestamp::ZERO, config.period, Zone::UTC);
        let announcer = Arc::new(Mutex::new(announcer));
        let events = Arc::<Events>::default();
        let clock = Arc::new(NoonClock(Instant::now()));
        let shard = Shard::new(config, Arc::clone(&announcer), clock.clone(), events.clone(), 1).unwrap();
        Self { shard, announcer, events, clock }
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }
}
