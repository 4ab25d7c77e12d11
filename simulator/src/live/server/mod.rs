//! The server under test: its address, the transport to it, and what the system reports about it.

pub(crate) mod address;
pub(crate) mod child;
pub(crate) mod endpoint;
pub(crate) mod leaks;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod usage;
