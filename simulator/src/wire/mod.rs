//! WebSocket as the clients write and read it: frames, texts, compressed messages, and offences.

pub(crate) mod codec;
pub(crate) mod handshake;
#[cfg(feature = "live")]
pub(crate) mod inflate;
pub(crate) mod offence;
pub(crate) mod text;
