//! The streams of one shard in a slab, which is the wire of its hub.

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
    /// How long the last bytes of a connection may take once it is over.
    last_bytes: Duration,
    fanout: Fanout,
    /// Of the present batch of a fan-out: how much of the frame each socket took, if anybody knows.
    sent: Vec<Option<usize>>,
    log: Arc<dyn Log>,
    /// The time of the input that the hub is handling, for its log lines.
    now: Now,
}

/// Which connection of a slot is meant: an id is given to the next one as soon as the hub has closed it.
#[derive(Clone, Copy, Debug)]
pub(in crate::shell) struct Ticket {
    pub(in crate::shell) id: ConnectionId,
    generation: u32,
}

/// One connection's stream, and what its task must know.
#[derive(Debug)]
pub(in crate::shell) struct Slot<S> {
    stream: Option<S>,
    /// Of the connection's task. None until it was polled once; it does everything then that it was not woken for.
    waker: Option<Waker>,
    /// Input that the hub refused. Only a stalled connection has some, or one that was resumed a moment ago.
    pub(in crate::shell) refused: Option<Box<[u8]>>,
    generation: u32,
    /// The hub is owed a `handle_writable`.
    pub(in crate::shell) is_blocked: bool,
    /// The hub takes no input until it resumes.
    pub(in crate::shell) is_stalled: bool,
    /// The peer has ended its side.
    pub(in crate::shell) is_ended: bool,
    /// The hub wants the peer to see the end of the stream.
    pub(in crate::shell) is_shutting_down: bool,
    /// The hub is owed a `handle_reset`.
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

    /// The stream, as long as there is something to expect from it.
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

    /// The socket of the stream, if the bytes of a fan-out may go past the stream.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().filter(|_| !self.has_failed)?.socket()
    }

    /// Finishes what began with a send past the stream, of which so much was taken if anybody knows. The rest is offered
    /// to the stream as ever: that is one system call more, and the stream finds out itself that it is blocked or broken.
    fn settle(&mut self, bytes: &[u8], sent: Option<usize>) -> usize {
        match sent {
            Some(sent) => sent + self.offer(&bytes[sent..]),
            // Whatever followed might tear the stream.
            None => self.fail(bytes),
        }
    }

    /// Nothing is to be expected of the stream any more: it takes everything, and the task sees to the rest.
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

    /// How fan-outs are written from now on.
    pub(in crate::shell) fn set_fanout(&mut self, fanout: Fanout) {
        self.fanout = fanout;
    }

    pub(in crate::shell) fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// What the log lines of the next input say about the time.
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

    /// From now on the connection's streams and the hub wake this task.
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
