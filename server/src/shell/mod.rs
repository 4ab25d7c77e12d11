//! The tokio shell: it moves bytes between sockets and the core, sleeps until the core's next timeout, and writes the log.
//!
//! | module | subject |
//! |---|---|
//! | [`clock`] | the only clock reads |
//! | [`socket`] | what a stream must offer so that a fan-out can write to it without a task switch |
//! | [`shard`] | one hub with its streams: the timer loop |
//! | `connection` | the task of one connection |
//! | [`fanout`] | the ways in which one frame reaches many sockets |
//! | `uring` | the one that is a batch of sends; its unsafe code |
//! | `streams` | the slab of streams, which is the hub's wire |
//! | [`log`] | the journal: lines rendered, queued under a limit, and written by a thread of its own |
//! | [`limits`] | how many files the process may open |
//! | `memory` | what makes the allocator give memory back |
//! | [`units`] | `5m`, `1500ms`, `64KiB`, `+08:00` |
//! | [`options`] | the command line |
//! | `accept` | sockets from the listener to the shards |
//! | [`serve`] | a whole server: shards on their threads, from the first socket to the drain |
//! | [`process`] | what belongs to the process: signals, file limit, standard output |
//!
//! A shard runs on any single-threaded tokio runtime, a paused one included, over any stream that is a
//! [`Socket`]: nothing in it draws a random number or reads a clock but its [`Clock`].

mod accept;
pub mod clock;
mod connection;
pub mod fanout;
pub mod limits;
pub mod log;
mod memory;
pub mod options;
pub mod process;
pub mod serve;
pub mod shard;
pub mod socket;
mod streams;
pub mod units;
#[cfg_attr(not(target_os = "linux"), path = "no_uring.rs")]
mod uring;

#[cfg(test)]
mod fanout_tests;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tcp_tests;
#[cfg(test)]
mod tests;

pub use clock::{Clock, SystemClock};
pub use connection::Connection;
pub use fanout::{Fanout, FanoutChoice};
pub use log::{Journal, Log, LogFormat};
pub use memory::return_large_blocks;
pub use options::Options;
pub use serve::{ServeError, Server};
pub use shard::Shard;
pub use socket::Socket;
