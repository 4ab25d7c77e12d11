//! Time on the live arm: the harness's clock and the server's.

pub(crate) mod delay_probe;
pub(crate) mod fit;
pub(crate) mod grid;
pub(crate) mod pulse;
pub(crate) mod stamps;
pub(crate) mod waiting;
