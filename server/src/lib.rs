//! Carillon's server: a core that is a value, and a shell that gives it sockets and clocks.
//!
//! The modules, from the pure core to the shell; each imports only those above it:
//!
//! | module | subject |
//! |---|---|
//! | [`time`], [`zone`] | instants, which are always arguments, and how a date is printed |
//! | [`units`] | times, sizes and zones as options and scenario files spell them |
//! | [`protocol`] | commands, replies, push text, close reasons |
//! | [`schedule`] | which cycle is due |
//! | [`config`] | limits and times, and which combinations are valid |
//! | `framing`, `handshake` | RFC 6455 bytes, in pieces of any size |
//! | `outbox` | output that a socket has not accepted yet |
//! | [`log`] | log lines as values |
//! | [`wire`] | the interface for all output of the core |
//! | `session` | one connection as a state machine |
//! | `timers` | the next deadline of each session |
//! | [`announcer`] | numbers the cycles and renders each push once |
//! | [`hub`] | one shard's sessions and the fan-out |
//! | `shell` | tokio: sockets, tasks, signals, the only clock reads (feature `shell`) |
//! | `cli` | the command line of the binary `carillon` (feature `cli`) |
//!
//! `PROTOCOL.md`, here as [`PROTOCOL`], defines the guarantees G1 to G15 that comments refer to. A caller's mistake
//! returns an error; a bug panics.

pub mod announcer;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(test)]
mod client_frames;
pub mod config;
mod framing;
mod handshake;
pub mod hub;
pub mod log;
mod outbox;
pub mod protocol;
pub mod schedule;
mod session;
#[cfg(feature = "shell")]
pub mod shell;
pub mod time;
mod timers;
pub mod units;
pub mod wire;
pub mod zone;

/// The protocol as a document: the text of `PROTOCOL.md`, Markdown, with the guarantees G1 to G15.
pub const PROTOCOL: &str = include_str!("../PROTOCOL.md");

pub use announcer::{Announcer, Push};
pub use config::{Config, ConfigError};
pub use hub::{Census, Counters, Hub};
pub use log::LogLine;
pub use time::{Now, Timestamp, WallTime};
pub use wire::{ConnectionId, Wire};
pub use zone::Zone;
