//! The interface between the world and a server on trial.

use carillon_server::Timestamp;

use crate::network::Network;
use crate::network::link::LinkId;
use crate::oracle::census::Census;

/// A push server on trial as a state machine: bytes in, bytes out, and timers.
///
/// The world calls one method at a time and gives the [`Network`] to answer on; [`Network::now`] is the time. A target
/// must be deterministic: the same calls, the same answers.
pub trait Target {
    /// A client connects over a new link.
    fn accept(&mut self, link: LinkId, net: &mut Network);

    /// Bytes arrive. Returns how many bytes from the front the target took. The world offers the rest again after
    /// [`Network::resume`].
    fn receive(&mut self, link: LinkId, bytes: &[u8], net: &mut Network) -> usize;

    /// A link that took fewer bytes than offered has room again.
    fn writable(&mut self, link: LinkId, net: &mut Network);

    /// A link that took everything so far has more room. Only a target that tracks the room needs this.
    fn made_room(&mut self, _link: LinkId, _net: &mut Network) {}

    /// The client has ended its side of the stream without a reset.
    fn end(&mut self, link: LinkId, net: &mut Network);

    /// The client, or the network, has reset the connection.
    fn reset(&mut self, link: LinkId, net: &mut Network);

    /// When the target's next timer expires; `None` if the target has no timer or cannot tell.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Lets time pass until `limit`, or until the target has acted or run idle at an instant before, to which it sets
    /// the network's clock.
    fn advance(&mut self, limit: Timestamp, net: &mut Network) -> Advance;

    /// Tells the target to shut down (G14). Returns `false` if the target has no shutdown.
    fn drain(&mut self, net: &mut Network) -> bool;

    /// The target's pause is over: the network's clock has moved on without it.
    fn resume(&mut self, _net: &mut Network) {}

    /// The target's wall clock was set; [`Network::now`] shows the new time.
    fn set_clock(&mut self, _net: &mut Network) {}

    /// Ends the target at once and starts it again without connections. Returns `false` if the target cannot restart.
    fn restart(&mut self, _net: &mut Network) -> bool {
        false
    }

    /// Whether the target is a third-party server ("Other servers" in `PROTOCOL.md`), which the oracle judges more
    /// generously.
    fn is_foreign(&self) -> bool {
        false
    }

    /// How many bytes the target may buffer for one connection beyond its outbox and one message (G10).
    fn buffer_allowance(&self) -> u64 {
        0
    }

    /// Whether the target has taken bytes from this link that its server has not read yet.
    fn has_unread(&self, _link: LinkId) -> bool {
        false
    }

    /// Whether the target hands over each log line while it handles the input that caused the line.
    fn attributes_log(&self) -> bool {
        false
    }

    /// The target's own count of what it holds (G11); `None` if it cannot tell.
    fn census(&self) -> Option<Census> {
        None
    }
}

/// The progress of a target in [`Target::advance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// The target has acted.
    Acted,
    /// The target has nothing to do before time passes: all input that it has taken has taken effect.
    Idle,
    /// The target reached the limit without acting.
    Reached,
}
