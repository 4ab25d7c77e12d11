//! The shell's tests that need more than one of its files.
//!
//! | file | subject |
//! |---|---|
//! | `scripted.rs` | a scripted stream, and a shard with its clock and log |
//! | `connection.rs` | the connection task and the timer loop over scripted streams |
//! | `fanout.rs` | every kind of fan-out over sockets that refuse bytes |
//! | `tcp.rs` | a whole server over loopback, with real clients |

mod connection;
mod fanout;
mod scripted;
mod tcp;
