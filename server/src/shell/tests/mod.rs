//! The shell's tests that take more than one of its files.
//!
//! | file | subject |
//! |---|---|
//! | `scripted.rs` | a stream that does what a test says, and what surrounds a shard |
//! | `connection.rs` | the connection task and the timer loop over scripted streams |
//! | `fanout.rs` | every way of a fan-out over sockets that refuse |
//! | `tcp.rs` | a whole server over loopback, with real clients |

mod connection;
mod fanout;
mod scripted;
mod tcp;
