//! Carillon's simulator.

#[doc(hidden)]
pub mod units;

#[doc(hidden)]
pub mod stopwatch;

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

mod oracle;

mod script;

mod world;

mod arms;

#[doc(hidden)]
pub mod hunt;

pub mod report;

pub mod live;

pub mod trial;

pub use arms::core::CoreTarget;
pub use arms::paused;
#[doc(hidden)]
pub use arms::{How, RunError, core_target, paused_target, run_arm};
pub use file::LoadError;
pub use network::Network;
pub use network::link::{LinkId, LinkPlan, LinkProfile, Reading};
pub use oracle::coverage::{Coverage, Hazard};
pub use oracle::guarantee::Guarantee;
pub use oracle::score::{Fault, Race, Score, Tally, Violation};
pub use oracle::verdict::Verdict;
pub use rng::Rng;
#[doc(hidden)]
pub use scenario::file as scenario_file;
pub use scenario::limits::{MOST_CLIENTS, Misfit};
#[doc(hidden)]
pub use scenario::recipe;
pub use scenario::{AppProfile, Arm, Behaviour, Bounds, FaultProfile, Scenario, SwitchProfile};
pub use script::Script;
pub use script::line::ScriptLine;
pub use script::verb::{Departure, ServerVerb, Utterance, Verb};
pub use trace::{Digest, Trace, Watch};
pub use wire::offence::Offence;
pub use wire::text::Text;
pub use world::target::{Advance, Census, Target};
pub use world::{Outcome, World};
