//! Makes a failing run small: fewer clients, less time, fewer commands, simpler values, while the same guarantee
//! still breaks.
//!
//! | file | subject |
//! |---|---|
//! | `reduce.rs` | the order of the steps |
//! | `search.rs` | the smallest script so far, and the test whether a candidate breaks the same guarantee |
//! | `parts.rs` | delta debugging over clients, connections, lines and utterances |
//! | `time.rs` | idle time removed, an earlier shutdown |
//! | `plain.rs` | simple values, as a person would write them |
//! | `size.rs` | how large a script is |
//! | `shrunk.rs` | the result and its file |

mod parts;
mod plain;
mod reduce;
mod search;
mod shrunk;
mod size;
mod time;

pub use reduce::{PATIENCE, shrink};
pub use shrunk::{NextSteps, Shrunk};
