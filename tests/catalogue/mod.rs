//! Servers that test the harness: one that keeps every promise, the same server with any single defect of a catalogue,
//! and the original app's listing with all its printed mistakes.
//!
//! * [`CompactServer`]: an ordinary tokio-tungstenite server. Started without a [`Defect`] it must be acquitted,
//!   started with one it must be convicted of a guarantee that [`Defect::guarantees`] names.
//! * [`Listing`]: the original app's server as a reader of its listing types it in.
//!
//! Neither uses the crates of this workspace, so neither can share a mistake with them. Time is tokio's, and no code
//! here draws a random number: on a paused single-threaded runtime a run repeats to the byte.
//!
//! | file | subject |
//! |---|---|
//! | `clock.rs` | the runtime's clock, and the format of a civil time |
//! | `defect.rs` | the catalogue |
//! | `server.rs` | settings, connections, start and drain |
//! | `ticker.rs` | the due instants, texts and receivers of the cycles |
//! | `connection.rs` | one connection from its handshake to its end |
//! | `texts.rs` | the effects of a text message |
//! | `outbox.rs` | the output that a client has not accepted yet |
//! | `tap.rs` | the stream as tungstenite sees it |
//! | `fragments.rs` | the frame boundaries of a message, for a few defects |
//! | `listing.rs` | the original app's listing as printed |
//!
//! A defect stands where a developer would make the mistake, as a line that asks `self.has(Defect::…)`.

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
