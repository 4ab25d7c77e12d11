//! Scenarios as TOML files: [`parse`] reads what [`format`](fn@format) writes and what people write.
//!
//! A key that is left out has the value of a quiet scenario, in which clients say hello and listen; a key that is not
//! known is an error, as it is a typing mistake more often than not.

mod dump;
mod parse;

pub use dump::{Unwritable, format};
pub use parse::{load, parse};

#[cfg(test)]
mod tests;
