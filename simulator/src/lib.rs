//! Puts a push server through days of traffic in seconds, and says guarantee by guarantee whether it kept its promises.
//!
//! The simulator runs a server with thousands of virtual clients on a virtual clock. An oracle judges every frame, and a
//! seed decides everything that happens, so that a run can be repeated, made small and explained. The guarantees are
//! those of `PROTOCOL.md` in the crate `carillon-server`.
//!
//! # A server of your own, in a test
//!
//! Any async function that serves one [`Stream`](paused::Stream) can be put on trial. Here it is an echo that knows
//! nothing of pushes, so the oracle misses them:
//!
//! ```
//! use std::time::Duration;
//!
//! use carillon_simulator::paused::Stream;
//! use carillon_simulator::trial::Trial;
//! use carillon_simulator::{Guarantee, Verdict};
//! use futures::{SinkExt, StreamExt};
//!
//! async fn serve(stream: Stream) {
//!     let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
//!     while let Some(Ok(message)) = socket.next().await {
//!         if let Ok(text) = message.to_text()
//!             && message.is_text()
//!         {
//!             socket.send(format!("Server received: {text}").into()).await.ok();
//!         }
//!     }
//! }
//!
//! let trial = Trial::of(|_scenario, _clock| serve).clients(10).duration(Duration::from_secs(1800)).seeds(1..=2);
//! let result = trial.run()?;
//! assert_eq!(result.verdict(), Verdict::Violated);
//! assert!(result.tally(Guarantee::G3).violations > 0, "no push ever came");
//! assert_eq!(result.tally(Guarantee::G8).violations, 0, "the echo is right");
//! # Ok::<(), carillon_simulator::trial::TrialError>(())
//! ```
//!
//! In a test, [`Trial::assert_held`](trial::Trial::assert_held) takes the place of the last lines.
//!
//! # What is here
//!
//! The rooms in reading order. No room imports from one below it; a test of the workspace holds that.
//!
//! | room | subject | API |
//! |---|---|---|
//! | `units`, `stopwatch`, `rng`, `trace`, `file`, `markup`, `exit` | small tools: times and counts as text, random numbers from a seed, digests, files with mistakes, exit codes | [`Rng`], [`Trace`], [`LoadError`] |
//! | [`metrics`] | what a run measures, and thresholds on it | yes |
//! | `wire` | the clients' own codec, the texts they send, and offences against RFC 6455 | [`Text`], [`Offence`] |
//! | `dialect` | how a protocol words things | [`live::Dialect`] |
//! | `network` | bytes on their way: links, latency, the event queue | [`Network`], [`LinkId`], [`LinkProfile`] |
//! | `scenario` | what a run is asked to do | [`Scenario`], [`Behaviour`], [`Bounds`] |
//! | `oracle` | what each connection may, must and must not see; its front page says where each guarantee is judged | [`Guarantee`], [`Verdict`], [`Score`], [`Census`] |
//! | `script` | what clients and server did, written down | [`Script`], [`ScriptLine`], [`Verb`] |
//! | `world` | moves bytes and time, and has no opinion | [`World`], [`Target`], [`Outcome`] |
//! | `arms` | where a scenario runs: the core as a value, or any async server on a paused runtime | [`paused`], [`CoreTarget`], [`Arm`] |
//! | `hunt` | sweeps of many seeds, shrinking, explanations | no |
//! | [`report`] | what a run came to, as text, JSON and pages | yes |
//! | [`live`] | real sockets and real time: conform and soak | yes |
//! | [`trial`] | a server of one's own on trial | yes |
//!
//! The command line (`cli`) belongs to the program `carillon-sim`. What is hidden from this page serves that program and
//! the workspace's tests, and may change at any time.
//!
//! # Features
//!
//! Both are on by default. Without them the crate builds, and a trial runs, with neither clap nor rustls in its tree.
//!
//! * `live`: real sockets (`live`), and the reference server's shell on the paused arm.
//! * `cli`: the program, the HTML reports, and [`trial::main`], a trial with a command line.

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

#[cfg(feature = "live")]
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

#[cfg(feature = "live")]
pub mod live;

pub mod trial;

pub use arms::core::CoreTarget;
pub use arms::paused;
#[doc(hidden)]
pub use arms::{RunError, RunOptions, core_target, paused_target, run_arm};
pub use file::{LoadError, Mistake};
pub use network::Network;
pub use network::link::{LinkId, LinkPlan, LinkProfile, Reading};
pub use oracle::census::Census;
pub use oracle::clause::{Clause, Lapse};
pub use oracle::coverage::{Coverage, Hazard};
pub use oracle::guarantee::Guarantee;
pub use oracle::score::{Fault, Race, Score, Tally, Violation};
#[doc(hidden)]
pub use oracle::server_log::is_forging;
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
pub use world::target::{Advance, Target};
pub use world::{Outcome, World};
