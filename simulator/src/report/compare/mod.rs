//! Whether a server has become worse: the figures of some runs against those of others, and the noise of both.
//!
//! | file | subject |
//! |---|---|
//! | `limit.rs` | how much worse a figure may get |
//! | `noise.rs` | how much a figure differs without a cause |
//! | `summary.rs` | the figures of two sides, held to limits |
//! | `table.rs` | the same for people |

mod limit;
mod noise;
mod summary;
mod table;

pub use limit::Limit;
pub use noise::NoiseSource;
pub use summary::{ChangeVerdict, CompareSummary, FigureEntry, Side};
pub use table::ComparisonTable;
