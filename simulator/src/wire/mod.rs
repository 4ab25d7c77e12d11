//! The bytes of WebSocket as the clients write and read them.

pub(crate) mod codec;
pub(crate) mod offence;
pub(crate) mod text;
