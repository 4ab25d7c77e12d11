//! The tests of the workspace: one binary, and this is its table of contents.

mod arms;
mod catalogue;
mod conform;
mod convictions;
mod corpus;
mod determinism;
mod foreign;
mod hub;
mod readme;
mod shrink;
mod support;
mod tcp;
