//! The measurements of a soak, and thresholds on them.
//!
//! All measurements can be merged: [`Metrics::merge`] of several load generators gives, bucket by bucket, what one load
//! generator with all their clients would have measured.
//!
//! | file | subject |
//! |---|---|
//! | `measurements.rs` | everything that a soak measures, and its form in JSON |
//! | `timing.rs`, `counts.rs`, `pushes.rs`, `timeline.rs` | its parts: times, counts, pushes, samples |
//! | `trend.rs` | whether a figure grows |
//! | `metric.rs`, `unit.rs` | what can be asked by name, and what a number counts |
//! | `threshold.rs`, `scanner.rs` | bounds, and how they are read |

mod counts;
mod measurements;
mod metric;
mod pushes;
pub(crate) mod scanner;
mod threshold;
mod timeline;
mod timing;
pub(crate) mod trend;
mod unit;

pub use counts::Counts;
pub use measurements::Metrics;
pub use metric::{Aggregate, Metric};
pub use pushes::{PushEntry, Pushes};
pub use threshold::{Comparison, Judgement, Threshold};
pub use timeline::{Sample, Timeline};
pub use timing::Timing;
pub use trend::Trend;
pub use unit::Unit;
