//! When and where a frame was seen.

use carillon_server::Timestamp;

/// Where and when a frame was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) at: Timestamp,
    /// When the server handed it to the link.
    pub(crate) sent_at: Timestamp,
    /// Where it begins in the server's stream.
    pub(crate) offset: u64,
}
