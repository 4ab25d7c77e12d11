//! Makes a failing run small: fewer clients, less time, fewer commands, plainer values, while the same promise breaks.
//!
//! | file | subject |
//! |---|---|
//! | `reduce.rs` | the order of the steps |
//! | `search.rs` | the smallest script so far, and whether another one breaks the same promise |
//! | `parts.rs` | delta debugging over clients, connections, lines and utterances |
//! | `time.rs` | empty hours cut out, an earlier shutdown |
//! | `plain.rs` | values that a person would have chosen |
//! | `size.rs` | how large a script is |
//! | `shrunk.rs` | the result, and the file that holds it |

mod parts;
mod plain;
mod reduce;
mod search;
mod shrunk;
mod size;
mod time;

pub use reduce::{PATIENCE, shrink};
pub use shrunk::{NextSteps, Shrunk};
