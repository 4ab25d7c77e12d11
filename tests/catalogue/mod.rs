//! Servers that the harness is held to: one that keeps every promise, the same one with any single mistake out of a
//! catalogue, and the seed's listing with all the mistakes that it was printed with.
//!
//! * [`CompactServer`]: an ordinary tokio-tungstenite server. Started without a [`Defect`] it must be acquitted,
//!   started with one it must be convicted of a guarantee that [`Defect::guarantees`] names.
//! * [`Listing`]: what a reader of the seed types in.
//!
//! Neither knows the crates of this workspace, so neither can share a mistake with them. Time is tokio's, and nothing
//! here draws a random number: on a paused single-threaded runtime a run repeats to the byte.
//!
//! | file | subject |
//! |---|---|
//! | `clock.rs` | the runtime's clock, and how a civil time is written |
//! | `defect.rs` | the catalogue |
//! | `server.rs` | settings, who is connected, start and drain |
//! | `ticker.rs` | when a cycle is due, what its text says, who gets it |
//! | `connection.rs` | one connection from its handshake to its end |
//! | `texts.rs` | what a text message brings about |
//! | `outbox.rs` | what a client has not taken yet |
//! | `tap.rs` | the stream as tungstenite sees it |
//! | `fragments.rs` | where the frames of a message end: only some defects ask |
//! | `listing.rs` | the seed's listing as printed |
//!
//! A mistake stands where a developer would have made it, as a line that asks `self.has(Defect::…)`.

pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod defect;
pub(crate) mod fragments;
pub(crate) mod listing;
pub(crate) mod outbox;
pub(crate) mod server;
pub(crate) mod tap;
pub(crate) mod texts;
pub(crate) mod ticker;

pub(crate) use defect::Defect;
pub(crate) use listing::Listing;
pub(crate) use server::{CompactServer, Settings};
