//! When and where a client read a frame.

use carillon_server::Timestamp;

/// When a client read a frame, when the server sent it, and where it is in the server's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) at: Timestamp,
    /// When the server handed the frame to the link.
    pub(crate) sent_at: Timestamp,
    /// The offset of the frame in the server's stream.
    pub(crate) offset: u64,
}
