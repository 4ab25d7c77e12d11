//! The server under test: where it is, how bytes get there, and what the system says of it.

pub(crate) mod address;
pub(crate) mod child;
pub(crate) mod endpoint;
pub(crate) mod leaks;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod usage;
