//! The exit codes of every command that puts a server on trial.
//!
//! 0 says that no guarantee was violated, 1 that the run could not be done, 2 that the options make no sense.

/// A sweep never put a guarantee to a test that its scenario promises.
pub const UNCOVERED: u8 = 99;

/// A guarantee was violated.
pub const VIOLATED: u8 = 100;

/// A file can be read, but not understood.
pub const UNREADABLE: u8 = 104;
