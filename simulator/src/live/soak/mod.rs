//! A load of virtual clients over real sockets, judged while it runs.
//!
//! | file | subject |
//! |---|---|
//! | `options.rs`, `plan.rs` | options of a soak; the number of clients over time |
//! | `load.rs` | the state that all clients share |
//! | `run.rs` | the course of a soak |
//! | `client.rs` | one client: connects, acts by its behaviour, and returns |
//! | `watch.rs` | samples and progress |
//! | `outage.rs` | what lost connections mean |

mod client;
mod load;
mod options;
mod outage;
mod plan;
mod run;
mod watch;

pub use options::{SoakError, SoakOptions};
pub use plan::Plan;
pub use run::soak;
pub use watch::Progress;
