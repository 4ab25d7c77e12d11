//! The oracle.

pub(crate) mod checker;
pub(crate) mod connection;
pub(crate) mod coverage;
pub(crate) mod guarantee;
pub(crate) mod model;
pub(crate) mod score;
pub(crate) mod server_log;
pub(crate) mod verdict;
