//! The tests of the workspace: one binary, and this is its table of contents.

mod arms;
mod catalogue;
mod compare;
mod conform;
mod convictions;
mod corpus;
mod determinism;
mod foreign;
mod house;
mod hub;
mod log_escapes;
mod merge;
mod own_server;
mod paused;
mod readme;
mod report;
mod schema;
mod shrink;
mod soak;
mod support;
mod tcp;
mod tls;
mod trial;
