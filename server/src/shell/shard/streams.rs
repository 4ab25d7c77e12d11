//! The streams of one shard in a slab. The slab is the wire of the shard's hub.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::hub::SLICE;
use crate::log::LogLine;
use crate::shell::fanout::Fanout;
use crate::shell::log::Log;
use crate::time::Now;
use crate::wire::{ConnectionId, Wire};

use super::socket::Socket;

/// One stream per slot; the hub chooses the slots.
pub(in crate::shell) struct Streams<S> {
    slots: Vec<Slot<S>>,
    open: usize,
    /// The time that the last bytes of a connection have to arrive once it is over.
    last_bytes: Duration,
    fanout: Fanout,
    /// The number of bytes of the frame that each socket of the present batch accepted; `None` where it is not known.
    sent: Vec<Option<usize>>,
    log: Arc<dyn Log>,
    /// The time of the input that the hub is handling, for its log lines.
    now: Now,
}

/// Identifies one connection of a slot, as the hub reuses an id as soon as it has closed the connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::shell) struct Ticket {
    pub(in crate::shell) id: ConnectionId,
    generation: u32,
}

/// One connection's stream, and the work for its task.
#[derive(Debug)]
pub(in crate::shell) struct Slot<S> {
    stream: Option<S>,
    /// The waker of the connection's task; `None` until its first poll, which does all pending work unasked.
    waker: Option<Waker>,
    /// Input that the hub refused. Only a connection that is stalled or was just resumed has some.
    pub(in crate::shell) refused: Option<Box<[u8]>>,
    generation: u32,
    /// The task must call `handle_writable`.
    pub(in crate::shell) is_blocked: bool,
    /// The hub accepts no input until it resumes the connection.
    pub(in crate::shell) is_stalled: bool,
    /// The client has ended its side of the stream.
    pub(in crate::shell) is_ended: bool,
    /// The task must end the outgoing side of the stream.
    pub(in crate::shell) is_shutting_down: bool,
    /// The task must call `handle_reset`.
    pub(in crate::shell) has_failed: bool,
}

impl<S> Slot<S> {
    fn vacant() -> Self {
        Self {
            stream: None,
            waker: None,
            refused: None,
            generation: 0,
            is_blocked: false,
            is_stalled: false,
            is_ended: false,
            is_shutting_down: false,
            has_failed: false,
        }
    }

    /// The stream, unless it has failed.
    pub(in crate::shell) fn stream(&mut self) -> Option<&mut S> {
        self.stream.as_mut().filter(|_| !self.has_failed)
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl<S: Socket> Slot<S> {
    fn offer(&mut self, bytes: &[u8]) -> usize {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.has_failed) else {
            return bytes.len();
        };
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        match stream.poll_offer(&mut Context::from_waker(waker), bytes) {
            Poll::Ready(Ok(taken)) => {
                self.is_blocked |= taken < bytes.len();
                taken
            }
            Poll::Pending => {
                self.is_blocked = true;
                0
            }
            Poll::Ready(Err(_)) => self.fail(bytes),
        }
    }

    /// The socket of the stream, if a fan-out may bypass the stream.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().filter(|_| !self.has_failed)?.socket()
    }

    /// Finishes a send that bypassed the stream. `sent` is the number of bytes accepted, if it is known. The rest is
    /// offered to the stream: that costs one more system call, and the stream itself finds that it is blocked or
    /// broken.
    fn settle(&mut self, bytes: &[u8], sent: Option<usize>) -> usize {
        match sent {
            Some(sent) => sent + self.offer(&bytes[sent..]),
            // If the number is not known, any further byte could corrupt the stream.
            None => self.fail(bytes),
        }
    }

    /// Marks the stream as failed. It counts all bytes as accepted, and the task ends the connection.
    fn fail(&mut self, bytes: &[u8]) -> usize {
        self.has_failed = true;
        self.wake();
        bytes.len()
    }
}

impl<S: Socket> Streams<S> {
    pub(in crate::shell) fn new(last_bytes: Duration, log: Arc<dyn Log>) -> Self {
        Self {
            slots: Vec::new(),
            open: 0,
            last_bytes,
            fanout: Fanout::portable(),
            sent: Vec::new(),
            log,
            now: Now::default(),
        }
    }

    /// Sets the way in which pushes are written from now on.
    pub(in crate::shell) fn set_fanout(&mut self, fanout: Fanout) {
        self.fanout = fanout;
    }

    pub(in crate::shell) fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Sets the time of the log lines of the next input.
    pub(in crate::shell) fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    pub(in crate::shell) fn insert(&mut self, id: ConnectionId, stream: S) -> Ticket {
        while self.slots.len() <= id.index() {
            self.slots.push(Slot::vacant());
        }
        let slot = &mut self.slots[id.index()];
        let generation = slot.generation;
        *slot = Slot { stream: Some(stream), generation, ..Slot::vacant() };
        self.open += 1;
        Ticket { id, generation }
    }

    /// The slot of a connection, unless the hub has closed it.
    pub(in crate::shell) fn get(&mut self, ticket: Ticket) -> Option<&mut Slot<S>> {
        let slot = &mut self.slots[ticket.id.index()];
        (slot.generation == ticket.generation && slot.stream.is_some()).then_some(slot)
    }

    /// Sets the waker of the connection's task; the stream and the hub wake it from now on.
    pub(in crate::shell) fn register(&mut self, ticket: Ticket, waker: &Waker) {
        if let Some(slot) = self.get(ticket)
            && !slot.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            slot.waker = Some(waker.clone());
        }
    }

    pub(in crate::shell) fn note(&self, line: &LogLine<'_>) {
        self.log.log(line, self.now);
    }
}

impl<S: Socket> Wire for Streams<S> {
    fn send(&mut self, to: ConnectionId, bytes: &[u8]) -> usize {
        self.slots[to.index()].offer(bytes)
    }

    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]) {
        for (to, taken) in to.chunks(SLICE).zip(taken.chunks_mut(SLICE)) {
            let sockets = to.iter().map(|connection| self.slots[connection.index()].socket());
            self.fanout.send_all(frame, sockets, &mut self.sent);
            for ((connection, taken), &sent) in to.iter().zip(taken).zip(&self.sent) {
                *taken = match sent {
                    Some(sent) if sent == frame.len() => sent,
                    sent => self.slots[connection.index()].settle(frame, sent),
                };
            }
        }
        if self.fanout.has_failed() {
            self.fanout = Fanout::portable();
            self.note(&LogLine::FellBack);
        }
    }

    fn resume(&mut self, connection: ConnectionId) {
        let slot = &mut self.slots[connection.index()];
        slot.is_stalled = false;
        slot.wake();
    }

    fn shutdown(&mut self, connection: ConnectionId) {
        let slot = &mut self.slots[connection.index()];
        slot.is_shutting_down = true;
        slot.wake();
    }

    fn close(&mut self, connection: ConnectionId) {
        let slot = &mut self.slots[connection.index()];
        let generation = slot.generation.wrapping_add(1);
        let closed = std::mem::replace(slot, Slot { generation, ..Slot::vacant() });
        if let Some(mut stream) = closed.stream {
            self.open -= 1;
            if closed.is_ended && !closed.is_blocked {
                stream.finish(self.last_bytes);
            } else {
                stream.abort();
            }
        }
        if let Some(waker) = closed.waker {
            waker.wake();
        }
    }

    fn log(&mut self, line: LogLine<'_>) {
        self.note(&line);
    }
}
