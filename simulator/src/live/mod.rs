//! The live arm: real sockets and real time, against any server.

mod backoff;
mod client;
mod clock;
pub mod conform;
mod interrupt;
mod judge;
mod run_state;
mod server;
pub mod soak;

pub use crate::dialect::Dialect;
#[doc(hidden)]
pub use backoff::Backoff;
pub use interrupt::interrupted;
pub use server::address::Address;
pub use server::serve::Serving;
pub use server::tls::Trust;
#[doc(hidden)]
pub use server::tls::{explain, is_final};
