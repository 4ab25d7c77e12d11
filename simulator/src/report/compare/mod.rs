//! Whether a server became worse: compares the figures of some runs with those of others, and with the noise of
//! both.
//!
//! | file | subject |
//! |---|---|
//! | `limit.rs` | how much worse a figure may get |
//! | `noise.rs` | how much a figure varies by chance |
//! | `summary.rs` | the figures of two sides, checked against limits |
//! | `table.rs` | the same as text |

mod limit;
mod noise;
mod summary;
mod table;

pub use limit::Limit;
pub use noise::NoiseSource;
pub use summary::{ChangeVerdict, CompareSummary, FigureEntry, Side};
pub use table::ComparisonTable;
