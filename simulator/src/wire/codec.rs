//! The clients' side of RFC 6455, with masks that the seed decides.
//!
//! It shares no code with the server's codec: a mistake in shared code would go unnoticed.

use std::borrow::Cow;

use carillon_server::protocol::{ECHO_PREFIX, PUSH_PREFIX};

/// Opcodes of RFC 6455 section 5.2.
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0x0;
    pub(crate) const TEXT: u8 = 0x1;
    pub(crate) const BINARY: u8 = 0x2;
    pub(crate) const CLOSE: u8 = 0x8;
    pub(crate) const PING: u8 = 0x9;
    pub(crate) const PONG: u8 = 0xA;
}

/// Appends a final masked frame.
#[cfg(test)]
pub(crate) fn encode(to: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: u32) {
    encode_raw(to, 0x80 | opcode, payload, mask);
}

/// Appends a masked frame with this first byte, legal or not.
pub(crate) fn encode_raw(to: &mut Vec<u8>, first: u8, payload: &[u8], mask: u32) {
    to.push(first);
    match payload.len() {
        short @ ..=125 => to.push(0x80 | short as u8),
        medium @ ..=0xFFFF => {
            to.push(0x80 | 126);
            to.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            to.push(0x80 | 127);
            to.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let key = mask.to_be_bytes();
    to.extend_from_slice(&key);
    let start = to.len();
    to.extend_from_slice(payload);
    // Blocks of a fixed length let the compiler use vector instructions.
    let keys: [u8; 16] = std::array::from_fn(|place| key[place % key.len()]);
    let mut blocks = to[start..].chunks_exact_mut(keys.len());
    for block in &mut blocks {
        block.iter_mut().zip(keys).for_each(|(byte, key)| *byte ^= key);
    }
    blocks.into_remainder().iter_mut().zip(keys).for_each(|(byte, key)| *byte ^= key);
}

/// The meaning of a message or a control frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    Binary,
    Close(Option<u16>),
    Echo(&'a [u8]),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Push(&'a [u8]),
    /// A text that is neither an echo nor a push.
    Unknown(&'a [u8]),
}

/// Bytes that no server may send, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Garbled(pub(crate) Cow<'static, str>);

impl Garbled {
    /// Bytes with a reason that is always the same.
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

/// A frame from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The final bit, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) payload: &'a [u8],
    /// The length of the frame in bytes, including its header.
    pub(crate) length: usize,
}

/// The frame at the front of `bytes`; `None` if it is incomplete. Lengths must have their shortest form (RFC 6455
/// section 5.2).
pub(crate) fn split_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Garbled> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if second & 0x80 != 0 {
        return Err(Garbled::new("a masked frame from the server"));
    }
    let (length, header) = match second {
        126 => match rest {
            [high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), 10),
            None => return Ok(None),
        },
        short => (usize::from(*short), 2),
    };
    if first & 0x70 != 0 {
        return Err(Garbled::new("a reserved bit from the server"));
    }
    if !matches!(first & 0x0F, 0..=2 | 8..=10) {
        return Err(Garbled::new("a reserved opcode from the server"));
    }
    if first & 0x08 != 0 && (first & 0x80 == 0 || length > 125) {
        return Err(Garbled::new("a fragmented or long control frame from the server"));
    }
    if length < shortest_for(header) {
        return Err(Garbled::new("a length in a longer form than necessary from the server"));
    }
    let end = length.saturating_add(header);
    Ok(bytes.get(header..end).map(|payload| Frame { first: *first, payload, length: end }))
}

/// Whether a Close with this code can answer another: it may be sent (RFC 6455 section 7.4), and names no offence.
pub(crate) fn answers_plainly(code: u16) -> bool {
    matches!(code, 1000 | 1001 | 1003 | 1008 | 1010..=1014 | 3000..=4999)
}

/// The smallest payload length that needs a header of this many bytes.
fn shortest_for(header: usize) -> usize {
    match header {
        2 => 0,
        4 => 126,
        _ => 1 << 16,
    }
}

/// The meaning of a complete message or control frame.
pub(crate) fn interpret(opcode: u8, payload: &[u8]) -> Result<Received<'_>, Garbled> {
    Ok(match opcode {
        opcode::TEXT => {
            if std::str::from_utf8(payload).is_err() {
                return Err(Garbled::new("a text from the server that is not UTF-8"));
            }
            if let Some(echo) = payload.strip_prefix(ECHO_PREFIX.as_bytes()) {
                Received::Echo(echo)
            } else if payload.starts_with(PUSH_PREFIX.as_bytes()) {
                Received::Push(payload)
            } else {
                Received::Unknown(payload)
            }
        }
        opcode::CLOSE => match payload {
            [] => Received::Close(None),
            [high, low, ..] => Received::Close(Some(u16::from_be_bytes([*high, *low]))),
            [_] => return Err(Garbled::new("a close frame with half a status code from the server")),
        },
        opcode::PING => Received::Ping(payload),
        opcode::PONG => Received::Pong(payload),
        _ => Received::Binary,
    })
}

#[cfg(test)]
mod tests {
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocketContext};

    use super::*;

    #[test]
    fn a_server_library_reads_the_clients_frames() {
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            let payload = "x".repeat(length);
            let mut bytes = Vec::new();
            encode(&mut bytes, opcode::TEXT, payload.as_bytes(), 0xDEAD_BEEF);
            let message = WebSocketContext::new(Role::Server, None).read(&mut std::io::Cursor::new(bytes));
            assert_eq!(message.unwrap(), Message::text(payload));
        }
    }

    #[test]
    fn a_frame_cut_at_any_place_is_incomplete_until_its_last_byte() {
        let bytes = [b"\x81\x7e\x00\x7e".as_slice(), &[b'x'; 126], b"\x88\x00"].concat();
        for end in 0..130 {
            assert_eq!(split_frame(&bytes[..end]), Ok(None), "cut at {end}");
        }
        assert_eq!(
            split_frame(&bytes),
            Ok(Some(Frame { first: 0x81, payload: &bytes[4..130], length: 130 }))
        );
        assert_eq!(split_frame(&bytes[130..]), Ok(Some(Frame { first: 0x88, payload: &[], length: 2 })));
    }

    #[test]
    fn frames_that_break_the_rules_are_refused() {
        for bytes in
            [b"\x81\x80\0\0\0\0".as_slice(), b"\xC1\x00", b"\x83\x00", b"\x09\x00", b"\x89\x7e\x00\x7e"]
        {
            assert!(split_frame(bytes).is_err(), "{bytes:?}");
        }
        for bytes in [b"\x81\x7e\x00\x7d".as_slice(), b"\x8a\x7e\x00\x00", b"\x81\x7f\0\0\0\0\0\0\xff\xff"] {
            assert!(split_frame(bytes).is_err(), "a longer form than necessary: {bytes:?}");
        }
        assert!(interpret(opcode::TEXT, b"\xFF").is_err());
        assert!(interpret(opcode::CLOSE, b"\x03").is_err());
    }

    #[test]
    fn the_prefix_distinguishes_echoes_and_pushes() {
        assert_eq!(interpret(opcode::TEXT, b"Server received: "), Ok(Received::Echo(b"")));
        assert!(matches!(interpret(opcode::TEXT, b"Server push message at x"), Ok(Received::Push(_))));
        assert!(matches!(interpret(opcode::TEXT, b"server received: x"), Ok(Received::Unknown(_))));
    }
}
