//! The tokio shell: it moves bytes between sockets and the core, sleeps until the core's next timeout, and writes the
//! log.
//!
//! | module | subject |
//! |---|---|
//! | [`clock`] | the only clock reads |
//! | [`log`] | the journal, which renders log lines, queues them under a limit, and writes them on its own thread |
//! | [`fanout`] | the ways in which one frame reaches many sockets; its file `uring` holds the unsafe code of the batches |
//! | [`shard`] | one hub with its streams, the tasks of its connections, and its timer loop |
//! | [`options`] | the options of a server |
//! | [`serve`] | a whole server: shards on their threads, from the first socket to the drain |
//! | [`process`] | signals, the file limit, memory and standard output of the process |
//!
//! A shard runs on any single-threaded tokio runtime, a paused one included, over any stream that is a
//! [`Socket`]. It draws no random number and reads no clock but its [`Clock`].

pub mod clock;
pub mod fanout;
pub mod log;
pub mod options;
pub mod process;
pub mod serve;
pub mod shard;

#[cfg(test)]
mod tests;

pub use clock::{Clock, SystemClock};
pub use fanout::{Fanout, FanoutChoice};
pub use log::{Journal, Log, LogFormat};
pub use options::Options;
pub use process::memory::return_large_blocks;
pub use serve::{ServeError, Server};
pub use shard::Shard;
pub use shard::connection::Connection;
pub use shard::socket::Socket;
