//! Carillon's simulator.

mod checker;
mod client;
mod codec;
mod core_arm;
pub mod guarantee;
mod link;
mod model;
mod network;
mod payloads;
mod peer;
mod queue;
pub mod rng;
mod scenario;
mod target;
mod text;
mod trace;
mod world;

pub use checker::{Fault, Race, Score, Tally, Violation};
pub use core_arm::CoreTarget;
pub use guarantee::Guarantee;
pub use rng::Rng;
pub use scenario::Scenario;
pub use target::{Census, Target};
pub use trace::{Digest, Trace, Watch};
pub use world::{Outcome, World};
