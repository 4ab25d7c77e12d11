//! WebSocket as the clients write and read it: frames, texts, and offences.

pub(crate) mod codec;
pub(crate) mod handshake;
pub(crate) mod offence;
pub(crate) mod text;
