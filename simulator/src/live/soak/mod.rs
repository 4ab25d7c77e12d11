//! A load of virtual clients over real sockets, judged all the time.
//!
//! | file | subject |
//! |---|---|
//! | `options.rs`, `plan.rs` | what is to be done; how many clients there are to be, and when |
//! | `load.rs` | what all clients share |
//! | `run.rs` | the course of a soak |
//! | `client.rs` | one client: connects, does what its behaviour says, and comes back |
//! | `watch.rs` | samples and progress |
//! | `outage.rs` | what it means that connections were lost |

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
