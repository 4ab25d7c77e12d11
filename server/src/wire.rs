//! The seam between the core and whatever moves its bytes.

use crate::log::LogLine;

/// One connection of a hub: the index of its slot.
///
/// It is valid from [`Hub::handle_connect`](crate::Hub::handle_connect) until the hub calls [`Wire::close`] with it;
/// after that the hub may give the same id to another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u32);

impl ConnectionId {
    /// The slot's index: small, dense and reused.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a hub's output goes: sockets, an io_uring, TLS streams, or the links of a simulator.
///
/// A wire never blocks and never calls back into the hub. One whose connection has failed takes everything and reports
/// the failure later, through [`Hub::handle_reset`](crate::Hub::handle_reset).
pub trait Wire {
    /// Offers bytes to one connection and returns how many were taken, from the front.
    ///
    /// Less than all means that the connection is blocked: the wire then owes the hub a
    /// [`Hub::handle_writable`](crate::Hub::handle_writable) as soon as it can take more.
    fn send(&mut self, to: ConnectionId, bytes: &[u8]) -> usize;

    /// Offers the same frame to many connections: the fan-out.
    ///
    /// `taken` has the length of `to`, and entry i is set to what connection i took. The duty of [`Wire::send`] towards
    /// blocked connections holds for each of them.
    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]);

    /// Input that the hub refused may be offered again.
    fn resume(&mut self, connection: ConnectionId);

    /// Nothing more will be sent: the peer is to see the end of the stream behind what was taken.
    fn shutdown(&mut self, connection: ConnectionId);

    /// The connection is over. Its id, and whatever belongs to it, is given up at once.
    fn close(&mut self, connection: ConnectionId);

    /// Something happened that the log wants to know.
    fn log(&mut self, line: LogLine<'_>);
}
