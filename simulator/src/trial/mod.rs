//! A server of one's own on trial: in a test ([`Trial`]), or as a program with a command line ([`main`]).
//!
//! Both run any async server on virtual time, over in-memory streams, and hold it to every guarantee of `PROTOCOL.md`.
//! A third-party server has the freedoms that the section "Other servers" states.
//!
//! A run can be repeated only if the seed decides everything in it. A server must read the [`VirtualClock`] that it is
//! given or tokio's clock, and not `std::time::Instant::now` or `SystemTime::now`: those do not stand still between two
//! events, and show another time in each run. The same goes for threads of its own, and for the order of a `HashMap`.
//!
//! [`VirtualClock`]: crate::paused::VirtualClock

mod builder;
mod defaults;
mod failure;
#[cfg(feature = "cli")]
mod program;
#[cfg(feature = "cli")]
mod refusal;
#[cfg(feature = "cli")]
mod script;
mod suspect;

pub use builder::{Trial, TrialError, TrialResult};
#[cfg(feature = "cli")]
pub use program::main;
