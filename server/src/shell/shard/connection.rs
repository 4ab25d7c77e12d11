//! The task of one connection.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::hub::Hub;
use crate::time::Now;

use super::socket::{Socket, poll_read};
use super::state::{Shared, State};
use super::streams::{Streams, Ticket};

/// The most reads of one poll, before other tasks get their turn. A poll also ends when its reads have filled the
/// shard's buffer, as handling a byte takes longer than reading it.
const READS: usize = 4;

/// The task of one connection: a future that ends with the connection. Dropping it earlier cuts the client off.
///
/// The task holds no state, so that an idle connection is small. The socket, the hub or a fan-out whose write was
/// refused leaves the work in the connection's slot and wakes the task.
#[must_use = "a connection is served by polling it"]
pub struct Connection<S: Socket> {
    shard: Rc<Shared<S>>,
    ticket: Ticket,
}

impl<S: Socket> Connection<S> {
    pub(super) fn new(shard: Rc<Shared<S>>, ticket: Ticket) -> Self {
        Self { shard, ticket }
    }
}

impl<S: Socket> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ticket = self.ticket;
        self.shard.turn(|state, now| state.drive(ticket, now, cx))
    }
}

impl<S: Socket> Drop for Connection<S> {
    fn drop(&mut self) {
        let ticket = self.ticket;
        self.shard.with(|state, now| {
            if state.streams.get(ticket).is_some() {
                state.hub.handle_reset(ticket.id, now, &mut state.streams);
            }
        });
    }
}

impl<S: Socket> State<S> {
    /// Does all work that is possible now for a connection. Ready when the connection is over.
    fn drive(&mut self, ticket: Ticket, now: Now, cx: &mut Context<'_>) -> Poll<()> {
        self.streams.register(ticket, cx.waker());
        self.write(ticket, now, cx);
        if self.read(ticket, now, cx) {
            cx.waker().wake_by_ref();
        }
        self.shut_down(ticket, cx);
        let Some(slot) = self.streams.get(ticket) else {
            return Poll::Ready(());
        };
        if !slot.has_failed {
            return Poll::Pending;
        }
        self.hub.handle_reset(ticket.id, now, &mut self.streams);
        Poll::Ready(())
    }

    /// Lets the hub send the output that a blocked stream refused. A stream that is still blocked refuses again.
    fn write(&mut self, ticket: Ticket, now: Now, cx: &mut Context<'_>) {
        let Some(slot) = self.streams.get(ticket) else {
            return;
        };
        if std::mem::take(&mut slot.is_blocked) {
            self.hub.handle_writable(ticket.id, now, &mut self.streams);
        }
        self.flush(ticket, cx);
    }

    /// Flushes streams that buffer, such as TLS. A socket has nothing to flush.
    fn flush(&mut self, ticket: Ticket, cx: &mut Context<'_>) {
        let Some(slot) = self.streams.get(ticket) else {
            return;
        };
        if let Some(stream) = slot.stream() {
            slot.has_failed = matches!(Pin::new(stream).poll_flush(cx), Poll::Ready(Err(_)));
        }
    }

    /// Gives the hub input until there is no more, or until other tasks should have their turn: then it returns true.
    fn read(&mut self, ticket: Ticket, now: Now, cx: &mut Context<'_>) -> bool {
        let mut rest = self.buffer.len();
        for _ in 0..READS {
            let Some(slot) = self.streams.get(ticket).filter(|slot| !slot.is_stalled) else {
                return false;
            };
            if let Some(refused) = slot.refused.take() {
                take_input(&mut self.hub, &mut self.streams, ticket, &refused, now);
                continue;
            }
            let is_ended = slot.is_ended;
            let Some(stream) = slot.stream().filter(|_| !is_ended) else {
                return false;
            };
            let most = self.hub.input_allowance(ticket.id).min(rest);
            match poll_read(stream, cx, &mut self.buffer[..most]) {
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => slot.has_failed = true,
                Poll::Ready(Ok(0)) => {
                    slot.is_ended = true;
                    self.hub.handle_end(ticket.id, now, &mut self.streams);
                }
                Poll::Ready(Ok(count)) => {
                    let bytes = &self.buffer[..count];
                    take_input(&mut self.hub, &mut self.streams, ticket, bytes, now);
                    rest -= count;
                    if rest == 0 {
                        return true;
                    }
                }
            }
        }
        true
    }

    fn shut_down(&mut self, ticket: Ticket, cx: &mut Context<'_>) {
        let Some(slot) = self.streams.get(ticket).filter(|slot| slot.is_shutting_down) else {
            return;
        };
        let Some(stream) = slot.stream() else { return };
        if let Poll::Ready(result) = Pin::new(stream).poll_shutdown(cx) {
            slot.is_shutting_down = false;
            slot.has_failed = result.is_err();
        }
    }
}

/// Gives input to the hub and keeps the rest that the hub refuses.
fn take_input<S: Socket>(hub: &mut Hub, streams: &mut Streams<S>, ticket: Ticket, bytes: &[u8], now: Now) {
    if let Some(slot) = streams.get(ticket) {
        // Set before the call, as the hub may refuse and resume within one call.
        slot.is_stalled = true;
    }
    let taken = hub.handle_input(ticket.id, bytes, now, streams);
    let Some(slot) = streams.get(ticket) else { return };
    if taken == bytes.len() {
        slot.is_stalled = false;
    } else {
        slot.refused = Some(bytes[taken..].into());
    }
}
