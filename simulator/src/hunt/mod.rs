//! What is done with many runs, and with one that failed.

pub mod coverage_promises;
pub mod explain;
pub mod shrink;
pub mod sweep;
