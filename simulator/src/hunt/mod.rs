//! Working with many runs (a sweep) and with one failed run (shrink it, explain it).

pub mod coverage_promises;
pub mod explain;
pub mod shrink;
pub mod sweep;
