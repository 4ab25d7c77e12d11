//! Carillon's simulator.

#[doc(hidden)]
pub mod units;

mod rng;

mod trace;

mod file;

mod markup;

#[doc(hidden)]
pub mod exit;

pub mod metrics;

mod wire;

mod dialect;

mod network;

mod scenario;

mod script;

mod oracle;

mod world;

mod arms;

pub mod live;

#[doc(hidden)]
pub mod hunt;

pub mod report;

pub mod trial;

pub use arms::core::CoreTarget;
pub use arms::paused;
#[doc(hidden)]
pub use arms::{Arm, How, RunError, core_target, paused_target, run_arm};
pub use file::LoadError;
pub use network::Network;
pub use network::link::{LinkId, LinkProfile};
pub use oracle::coverage::{Coverage, Hazard};
pub use oracle::guarantee::Guarantee;
pub use oracle::score::{Bounds, Fault, Race, Score, Tally, Violation};
pub use rng::Rng;
#[doc(hidden)]
pub use scenario::file as scenario_file;
pub use scenario::limits::{MOST_CLIENTS, Misfit};
#[doc(hidden)]
pub use scenario::recipe;
pub use scenario::{AppProfile, FaultProfile, Scenario, SwitchProfile};
pub use script::Script;
pub use script::line::ScriptLine;
pub use script::verb::{Departure, LinkPlan, Offence, Reading, ServerVerb, Utterance, Verb};
pub use trace::{Digest, Trace, Watch};
pub use wire::text::Text;
pub use world::client::Behaviour;
pub use world::target::{Advance, Census, Target};
pub use world::{Outcome, World};
