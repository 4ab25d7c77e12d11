//! Scenarios as TOML files, written by [`format`](fn@format) or by hand, and read by [`parse`](fn@parse).
//!
//! A missing key has the value of a quiet scenario, in which clients send Hello and then only read. An unknown key is
//! an error, because it is usually a typing mistake.

mod dump;
mod parse;

pub use dump::{Unwritable, format};
pub use parse::{load, parse};

#[cfg(test)]
mod tests;
