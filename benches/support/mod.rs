//! Helpers that the benches share.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod arrivals;
pub(crate) mod bare;
pub(crate) mod child;
pub(crate) mod clients;
#[path = "../../tests/support/frames.rs"]
pub(crate) mod frames;
pub(crate) mod leaping;
pub(crate) mod machine;
pub(crate) mod ours;
pub(crate) mod quiet;
pub(crate) mod server;
pub(crate) mod spread;
