//! Carillon's simulator.

mod checker;
mod client;
mod codec;
pub mod connect;
mod core_arm;
pub mod guarantee;
mod journal;
mod link;
mod model;
mod network;
pub mod paused;
mod payloads;
mod peer;
mod queue;
pub mod report;
pub mod rng;
pub mod run;
mod scenario;
mod target;
mod text;
mod trace;
pub mod units;
mod world;

pub use checker::{Fault, Race, Score, Tally, Violation};
pub use core_arm::CoreTarget;
pub use guarantee::Guarantee;
pub use rng::Rng;
pub use scenario::Scenario;
pub use target::{Advance, Census, Target};
pub use trace::{Digest, Trace, Watch};
pub use world::{Outcome, World};
