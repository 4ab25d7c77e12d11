//! Puts your own server on trial: in a test ([`Trial`]), or as a program with a command line ([`main`]).
//!
//! Both run any async server on virtual time, over in-memory streams, and judge it by every guarantee of
//! `PROTOCOL.md`. A third-party server has the freedoms that the section "Other servers" states.
//!
//! A run can be repeated only if the seed decides everything in it. The server must read the [`VirtualClock`] that
//! it gets, or tokio's clock. It must not use `std::time::Instant::now` or `SystemTime::now`: these clocks run
//! between two events, and show another time in each run. It must not use its own threads, and nothing may depend
//! on the order of a `HashMap`.
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
