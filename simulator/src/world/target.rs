//! What the world needs from a server under test.

use carillon_server::Timestamp;

use crate::network::Network;
use crate::network::link::LinkId;
use crate::oracle::census::Census;

/// A push server on trial, in the core's own terms: bytes in, bytes out, and when it wants to be woken.
///
/// The world calls one method at a time and gives the [`Network`] to answer on; [`Network::now`] is the time. A target
/// must be deterministic: the same calls, the same answers.
pub trait Target {
    /// A client connects.
    fn accept(&mut self, link: LinkId, net: &mut Network);

    /// Bytes arrive. Returns how many were taken, from the front; the rest is offered again after [`Network::resume`].
    fn receive(&mut self, link: LinkId, bytes: &[u8], net: &mut Network) -> usize;

    /// A link that took less than it was offered can take more.
    fn writable(&mut self, link: LinkId, net: &mut Network);

    /// A link that took everything so far has more room again. Matters to a target that keeps account of it.
    fn made_room(&mut self, _link: LinkId, _net: &mut Network) {}

    /// The client has ended its side of the stream in good order.
    fn end(&mut self, link: LinkId, net: &mut Network);

    /// The connection was reset.
    fn reset(&mut self, link: LinkId, net: &mut Network);

    /// When the target acts of its own accord, if that is known before it happens.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Lets time pass until `limit`, or until the target has acted or run idle at an instant before, to which it sets the
    /// network's clock.
    fn advance(&mut self, limit: Timestamp, net: &mut Network) -> Advance;

    /// Tells the target to shut down (G14). `false` if it cannot be told.
    fn drain(&mut self, net: &mut Network) -> bool;

    /// The target stood still, and goes on: the network's clock has moved without it.
    fn resume(&mut self, _net: &mut Network) {}

    /// Its wall clock was set; [`Network::now`] shows the new time.
    fn set_clock(&mut self, _net: &mut Network) {}

    /// Ends it at once and starts it anew, without connections. `false` if it cannot be.
    fn restart(&mut self, _net: &mut Network) -> bool {
        false
    }

    /// Whether it has limits and habits of its own ("Other servers" in `PROTOCOL.md`).
    fn is_foreign(&self) -> bool {
        false
    }

    /// How much it may buffer for one connection beyond its outbox and one message, in bytes (G10).
    fn buffer_allowance(&self) -> u64 {
        0
    }

    /// Whether it has yet to look at bytes that it has taken.
    fn has_unread(&self, _link: LinkId) -> bool {
        false
    }

    /// Whether each log line is handed over while the input is handled that caused it.
    fn attributes_log(&self) -> bool {
        false
    }

    /// What it holds, if it can tell (G11).
    fn census(&self) -> Option<Census> {
        None
    }
}

/// How far a target has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It has done something.
    Acted,
    /// It has nothing to do before time passes: all input that it has taken has taken effect.
    Idle,
    /// Nothing happened by the limit.
    Reached,
}
