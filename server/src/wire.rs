//! The interface between the core and the driver that moves its bytes.

use crate::log::LogLine;

/// One connection of a hub: the index of its slot.
///
/// It is valid from [`Hub::handle_connect`](crate::Hub::handle_connect) until the hub calls [`Wire::close`] with it;
/// after that the hub may give the same id to another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u32);

impl ConnectionId {
    /// The slot's index. The indices are small and dense, and a later connection reuses the index of a closed one.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The destination of a hub's output: sockets, an io_uring, TLS streams, or the links of a simulator.
///
/// A wire never blocks and never calls back into the hub. A wire whose connection has failed accepts all bytes, and
/// reports the failure later through [`Hub::handle_reset`](crate::Hub::handle_reset).
pub trait Wire {
    /// Offers bytes to one connection and returns the number of bytes accepted, counted from the front.
    ///
    /// If that is less than all bytes, the connection is blocked: the driver must call
    /// [`Hub::handle_writable`](crate::Hub::handle_writable) as soon as the connection can accept more.
    fn send(&mut self, to: ConnectionId, bytes: &[u8]) -> usize;

    /// Offers the same frame to many connections: the fan-out.
    ///
    /// `taken` has the length of `to`. The wire sets entry i to the number of bytes that connection i accepted. For
    /// each blocked connection the driver has the same duty as after [`Wire::send`].
    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]);

    /// The driver may offer the input again that the hub refused before.
    fn resume(&mut self, connection: ConnectionId);

    /// The hub sends nothing more: the wire ends the outgoing stream after the accepted bytes.
    fn shutdown(&mut self, connection: ConnectionId);

    /// The connection is over. The driver must release its resources and stop using its id at once.
    fn close(&mut self, connection: ConnectionId);

    /// An event for the log.
    fn log(&mut self, line: LogLine<'_>);
}
