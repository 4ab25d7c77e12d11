//! A verdict on every guarantee for a server of which only the URL is known.
//!
//! Several groups of clients go through some ten cycles at the same time. The judge gets what they observe. A
//! server that was started here is also stopped for a while, and told to shut down at the end.
//!
//! | file | subject |
//! |---|---|
//! | `options.rs`, `error.rs` | options and errors of a trial |
//! | `run.rs` | the course of a trial |
//! | `session.rs` | shared by all clients of a trial: timetable, tasks, connecting and leaving |
//! | `listeners.rs` | clients that never change their subscription |
//! | `switchers.rs` | clients that change it: early, late, twice, and without a text behind it |
//! | `talkers.rs` | clients that send every kind of message |
//! | `leavers.rs` | clients that leave and return |
//! | `offenders.rs`, `breaches.rs` | clients that break rules, and the rules that they break |
//! | `burdens.rs` | clients that do not read, stop in the middle, or are dead |
//! | `bare_client.rs` | a client that gives no verdict, for the probes below |
//! | `crowd.rs` | many clients that mostly listen |
//! | `laggards.rs` | clients that lag behind and then read again |
//! | `idlers.rs` | clients that are silent for long |
//! | `sizes.rs` | ever longer texts |
//! | `deflate.rs` | a client that offers compression |
//! | `stall.rs` | the server is stopped for a while |
//! | `starvation.rs` | how long the server waits for a processor |
//! | `reconnects.rs` | the server's memory over hundreds of reconnects |
//! | `leftovers.rs` | sockets and files that the server holds when all clients have left |
//! | `absence.rs` | a time without clients |
//! | `shutdown.rs` | the shutdown and the log |
//! | `report.rs` | verdicts |

mod absence;
mod bare_client;
mod breaches;
mod burdens;
mod crowd;
mod deflate;
mod error;
mod idlers;
mod laggards;
mod leavers;
mod leftovers;
mod listeners;
mod offenders;
mod options;
mod reconnects;
mod report;
mod run;
mod session;
mod shutdown;
mod sizes;
mod stall;
mod starvation;
mod switchers;
mod talkers;

pub use error::ConformError;
pub use options::{ConformOptions, LARGEST_CROWD};
pub use report::{ConformReport, Conformance, Uncertainty, junit};
pub use run::conform;
