//! Offences of a client against RFC 6455 or HTTP, and the close code that the server owes for each.

use crate::wire::codec::{encode_raw, opcode};

/// An offence of a client against RFC 6455 or HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A text that is not UTF-8.
    BadUtf8,
    /// A text in two fragments, of which the second is not UTF-8.
    BadUtf8InFragment,
    /// A Close whose reason is not UTF-8.
    BadUtf8InClose,
    /// A Close with the status code 1005, which no endpoint may send.
    ForbiddenCloseCode,
    /// A fragmented ping.
    FragmentedPing,
    /// A Close with a payload of one byte.
    HalfCloseCode,
    /// A new message between the fragments of another.
    Interleaved,
    /// A ping of 126 bytes.
    LongPing,
    /// A continuation frame without a message before it.
    OrphanContinuation,
    /// A message one byte longer than the server accepts.
    Oversize,
    /// The same length, in two fragments.
    OversizeInFragments,
    /// A frame with a reserved bit set.
    ReservedBit,
    /// A frame with a reserved opcode.
    ReservedOpcode,
    /// The first half of a frame, then silence.
    Truncated,
    /// A frame without a mask.
    Unmasked,
    /// Instead of a handshake: bytes that are not HTTP.
    Rubbish,
    /// Instead of a handshake: the first half of a request, then silence.
    StalledHandshake,
    /// Instead of a handshake: a request for another path.
    WrongPath,
}

impl Offence {
    /// All offences.
    pub const ALL: [Self; 18] = [
        Self::BadUtf8,
        Self::BadUtf8InFragment,
        Self::BadUtf8InClose,
        Self::ForbiddenCloseCode,
        Self::FragmentedPing,
        Self::HalfCloseCode,
        Self::Interleaved,
        Self::LongPing,
        Self::OrphanContinuation,
        Self::Oversize,
        Self::OversizeInFragments,
        Self::ReservedBit,
        Self::ReservedOpcode,
        Self::Truncated,
        Self::Unmasked,
        Self::Rubbish,
        Self::StalledHandshake,
        Self::WrongPath,
    ];

    /// The offence's name in scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadUtf8 => "bad-utf8",
            Self::BadUtf8InFragment => "bad-utf8-in-fragment",
            Self::BadUtf8InClose => "bad-utf8-in-close",
            Self::ForbiddenCloseCode => "forbidden-close-code",
            Self::FragmentedPing => "fragmented-ping",
            Self::HalfCloseCode => "half-close-code",
            Self::Interleaved => "interleaved",
            Self::LongPing => "long-ping",
            Self::OrphanContinuation => "orphan-continuation",
            Self::Oversize => "oversize",
            Self::OversizeInFragments => "oversize-in-fragments",
            Self::ReservedBit => "reserved-bit",
            Self::ReservedOpcode => "reserved-opcode",
            Self::Truncated => "truncated",
            Self::Unmasked => "unmasked",
            Self::Rubbish => "rubbish",
            Self::StalledHandshake => "stalled-handshake",
            Self::WrongPath => "wrong-path",
        }
    }

    /// The unmasked frames of the offence: first byte and payload. `largest` is the longest message that the server
    /// accepts. Empty for an unmasked frame and for offences instead of a handshake.
    pub(crate) fn frames(self, largest: usize) -> Vec<(u8, Vec<u8>)> {
        const FINAL: u8 = 0x80;
        let too_large = || vec![b'x'; largest + 1];
        let frames: Vec<(u8, &[u8])> = match self {
            Self::BadUtf8 => vec![(FINAL | opcode::TEXT, b"caf\xE9")],
            Self::BadUtf8InFragment => vec![(opcode::TEXT, b"caf"), (FINAL, b"\xE9")],
            Self::BadUtf8InClose => vec![(FINAL | opcode::CLOSE, b"\x03\xE8\xFF")],
            Self::ForbiddenCloseCode => vec![(FINAL | opcode::CLOSE, b"\x03\xED")],
            Self::FragmentedPing => vec![(opcode::PING, b"")],
            Self::HalfCloseCode => vec![(FINAL | opcode::CLOSE, b"\x03")],
            Self::Interleaved => vec![(opcode::TEXT, b"one"), (FINAL | opcode::TEXT, b"two")],
            Self::LongPing => vec![(FINAL | opcode::PING, &[b'x'; 126])],
            Self::OrphanContinuation => vec![(FINAL, b"orphan")],
            Self::Oversize => return vec![(FINAL | opcode::TEXT, too_large())],
            Self::OversizeInFragments => {
                return vec![(opcode::TEXT, too_large().split_off(1)), (FINAL, b"x".to_vec())];
            }
            Self::ReservedBit => vec![(FINAL | 0x40 | opcode::TEXT, b"compressed?")],
            Self::ReservedOpcode => vec![(FINAL | 0x3, b"")],
            Self::Truncated => vec![(FINAL | opcode::TEXT, b"the second half never comes")],
            Self::Unmasked | Self::Rubbish | Self::StalledHandshake | Self::WrongPath => vec![],
        };
        frames.into_iter().map(|(first, payload)| (first, payload.to_vec())).collect()
    }

    /// Appends the bytes that the client sends. `mask` returns the mask of each masked frame.
    pub(crate) fn encode(self, to: &mut Vec<u8>, largest: usize, mut mask: impl FnMut() -> u32) {
        let start = to.len();
        if self == Self::Unmasked {
            to.extend_from_slice(b"\x81\x05hello");
        }
        for (first, payload) in self.frames(largest) {
            encode_raw(to, first, &payload, mask());
        }
        if self == Self::Truncated {
            let half = (to.len() - start) / 2;
            to.truncate(start + half);
        }
    }

    /// Whether the offence takes the place of the handshake.
    pub const fn is_before_handshake(self) -> bool {
        matches!(self, Self::Rubbish | Self::StalledHandshake | Self::WrongPath)
    }

    /// The status code of the Close that is due (RFC 6455 section 7.4.1); `None` if no Close is due.
    pub const fn close_code(self) -> Option<u16> {
        match self {
            Self::BadUtf8 | Self::BadUtf8InFragment | Self::BadUtf8InClose => Some(1007),
            Self::Oversize | Self::OversizeInFragments => Some(1009),
            Self::Truncated | Self::Rubbish | Self::StalledHandshake | Self::WrongPath => None,
            _ => Some(1002),
        }
    }
}
