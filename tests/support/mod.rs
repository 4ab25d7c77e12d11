//! What several test modules need: the bytes of RFC 6455 as both sides write them.

pub(crate) mod frames;
