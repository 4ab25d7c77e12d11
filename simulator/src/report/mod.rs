//! Reports about runs, for people and as JSON.
//!
//! Everything here is a pure function of a [`Run`] and its outcome: it uses no clock, no terminal and, except to
//! read a report, no file.
//!
//! | file | subject |
//! |---|---|
//! | `run.rs`, `repeat.rs` | what was run, and the command line that repeats it |
//! | `summary.rs`, `entries.rs` | the object that `--json` writes, and its entries |
//! | `run_summary.rs` | that object for a run on virtual time |
//! | `seed.rs` | seeds in that object |
//! | `file.rs`, `schema_one.rs` | reads that object from a file, in this schema or in the one before |
//! | `merge.rs`, `facts.rs` | the reports of the parts of one load are merged |
//! | `text.rs`, `summary_text.rs`, `violations.rs`, `story.rs` | reports for people |
//! | `evidence.rs`, `lax.rs` | the evidence for the verdicts, and departures that hurt no one |
//! | `sweep.rs`, `coverage.rs`, `script.rs`, `scenarios.rs` | reports of a sweep, a script and the list of scenarios |
//! | `palette.rs`, `columns.rs`, `paragraph.rs`, `format.rs`, `numbers.rs` | colours, columns, paragraphs, sentences and numbers of all reports |
//! | `junit.rs` | verdicts as JUnit XML |
//! | `compare/` | whether a server became worse |
//! | `page/` | reports as HTML, Markdown and SVG |

mod columns;
pub mod compare;
mod coverage;
mod entries;
mod evidence;
mod facts;
mod file;
pub(crate) mod format;
#[cfg(feature = "live")]
mod junit;
mod lax;
mod merge;
mod numbers;
#[cfg(feature = "cli")]
pub mod page;
mod palette;
mod paragraph;
mod repeat;
mod run;
mod run_summary;
mod scenarios;
mod schema_one;
mod script;
mod seed;
mod story;
mod summary;
mod summary_text;
mod sweep;
mod text;
mod violations;

pub use coverage::{CoverageEntry, CoverageTable};
pub use entries::{GuaranteeEntry, LaxEntry, ViolationEntry};
pub use evidence::EvidenceReport;
pub use file::Document;
pub use palette::Palette;
pub use run::Run;
pub use scenarios::{ScenarioEntry, ScenarioList};
pub use script::ScriptSummary;
pub use story::Story;
pub use summary::{Latency, Races, SCHEMA_VERSION, Shard, Summary};
pub use summary_text::SummaryReport;
pub use sweep::{FailureEntry, SweepEntry, SweepReport, SweepSummary, describe_failure};
pub use text::TextReport;
pub use violations::ViolationReport;

#[cfg(feature = "live")]
pub(crate) use columns::{guarantee_columns, labelled_line};
#[cfg(feature = "live")]
#[cfg(feature = "live")]
pub(crate) use evidence::not_asked_for;
#[cfg(feature = "live")]
pub(crate) use junit::junit;
#[cfg(feature = "live")]
pub(crate) use lax::LaxList;
#[cfg(feature = "live")]
pub(crate) use paragraph::{BELOW, paragraph};
#[cfg(feature = "live")]
pub(crate) use summary::Basics;

#[cfg(test)]
mod tests;
