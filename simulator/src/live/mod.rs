//! The live arm: real sockets, real time, any server.
//!
//! | module | subject |
//! |---|---|
//! | `address`, `endpoint`, `dialect` | where the server is, and how it words things |
//! | `transport` | its bytes' way: TCP, bare or with TLS |
//! | `pulse` | the harness's clock, and how late the harness is |
//! | `rhythm` | the server's grid, learned from its pushes |
//! | `stamps` | the server's wall clock, learned from their texts |
//! | `judge` | the checker's verdicts on connections, and windows for the pushes |
//! | `stage`, `caller` | what connections share, and a client with its own |
//! | `child`, `serve` | servers that are started here |
//! | `leaks`, `usage` | what the system says about a server on this machine |
//! | `canary` | how long a readable socket goes unread |
//! | `verdicts` | the judge's verdicts as every report has them |
//! | [`conform`] | a verdict on each guarantee |
//! | [`soak`] | a load for a while |

mod address;
mod caller;
mod canary;
mod child;
pub mod conform;
mod dialect;
mod endpoint;
mod interrupt;
mod judge;
mod leaks;
mod pulse;
mod rhythm;
pub mod serve;
pub mod soak;
mod stage;
mod stamps;
mod transport;
mod usage;
mod verdicts;

pub use address::Address;
pub use dialect::Dialect;
pub use interrupt::interrupted;
