//! A verdict on every guarantee of a server that is known by its URL alone.
//!
//! Several groups of clients go through some ten cycles at once. What they see goes to the judge. A server that was
//! started here is also stopped for a while, and at last told to shut down.
//!
//! | file | subject |
//! |---|---|
//! | `options.rs`, `error.rs` | what is on trial and how; why there is no verdict |
//! | `run.rs` | the course of a trial |
//! | `session.rs` | what all clients of a trial share: timetable, tasks, connecting and leaving |
//! | `listeners.rs` | clients that never touch the switch |
//! | `switchers.rs` | clients that use it: early, late, twice, and without a word behind it |
//! | `talkers.rs` | clients that say everything that can be said |
//! | `leavers.rs` | clients that leave and come back |
//! | `offenders.rs`, `breaches.rs` | clients that break rules, and the rules that they break |
//! | `burdens.rs` | clients that do not read, stop halfway, or are dead |
//! | `shutdown.rs` | the stall, what is left behind, the shutdown and the log |
//! | `report.rs` | verdicts |

mod breaches;
mod burdens;
mod error;
mod leavers;
mod listeners;
mod offenders;
mod options;
mod report;
mod run;
mod session;
mod shutdown;
mod switchers;
mod talkers;

pub use error::ConformError;
pub use options::ConformOptions;
pub use report::{ConformReport, Conformance, Uncertainty, junit};
pub use run::conform;
