//! Varieties of broken rules: a server can overlook one of them although it enforces its neighbours (G12).

use crate::wire::codec::{encode_raw, opcode};
use crate::wire::offence::Offence;

const FINAL: u8 = 0x80;

/// One mask is enough here.
const MASK: u32 = 0x3C5A_96E1;

/// A broken rule.
pub(super) struct Breach {
    /// The known offence that it is a variety of; it decides which Close is due.
    pub(super) kind: Offence,
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Breach {
    fn new(kind: Offence, name: &str, frames: &[(u8, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (first, payload) in frames {
            encode_raw(&mut bytes, *first, payload, MASK);
        }
        Self { kind, name: name.to_owned(), bytes }
    }

    /// The form in which the simulator's clients commit this offence too.
    pub(super) fn of(kind: Offence, largest: usize) -> Self {
        let mut bytes = Vec::new();
        kind.encode(&mut bytes, largest, || MASK);
        Self { kind, name: kind.name().to_owned(), bytes }
    }
}

/// The varieties that need only a connection.
pub(super) fn varieties() -> impl Iterator<Item = Breach> {
    let unmasked = Breach {
        kind: Offence::Unmasked,
        name: "an empty frame without a mask".to_owned(),
        bytes: vec![FINAL | opcode::TEXT, 0],
    };
    frames().into_iter().chain(close_codes()).chain(bad_texts()).chain([unmasked])
}

fn frames() -> Vec<Breach> {
    let (bit, code) = (Offence::ReservedBit, Offence::ReservedOpcode);
    vec![
        Breach::new(bit, "a text with RSV2", &[(FINAL | 0x20 | opcode::TEXT, b"reserved")]),
        Breach::new(bit, "a text with RSV3", &[(FINAL | 0x10 | opcode::TEXT, b"reserved")]),
        Breach::new(bit, "a ping with RSV1", &[(FINAL | 0x40 | opcode::PING, b"reserved")]),
        Breach::new(code, "opcode 5", &[(FINAL | 0x5, b"reserved")]),
        Breach::new(code, "opcode 7", &[(FINAL | 0x7, b"")]),
        Breach::new(code, "opcode 0xB", &[(FINAL | 0xB, b"")]),
        Breach::new(code, "opcode 0xF", &[(FINAL | 0xF, b"reserved")]),
    ]
}

/// Both sides of every border between valid and invalid codes (RFC 6455 section 7.4.2).
fn close_codes() -> impl Iterator<Item = Breach> {
    [999_u16, 1004, 1006, 1015, 2000, 2999, 5000].into_iter().map(|code| {
        let name = format!("a Close of {code}");
        Breach::new(Offence::ForbiddenCloseCode, &name, &[(FINAL | opcode::CLOSE, &code.to_be_bytes())])
    })
}

/// Byte sequences that look like UTF-8 and are not (RFC 3629 section 3).
fn bad_texts() -> Vec<Breach> {
    let whole: [(&str, &[u8]); 5] = [
        ("a text with a surrogate", b"<\xED\xA0\x80>"),
        ("a text with an overlong zero", b"<\xC0\x80>"),
        ("a text with an overlong slash", b"<\xE0\x80\xAF>"),
        ("a text beyond U+10FFFF", b"<\xF4\x90\x80\x80>"),
        ("a text that ends within a character", "推".as_bytes().split_at(2).0),
    ];
    let mut breaches: Vec<Breach> = whole
        .into_iter()
        .map(|(name, text)| Breach::new(Offence::BadUtf8, name, &[(FINAL | opcode::TEXT, text)]))
        .collect();
    let split: [(u8, &[u8]); 2] = [(opcode::TEXT, b"<\xED"), (FINAL | opcode::CONTINUATION, b"\xA0\x80>")];
    breaches.push(Breach::new(Offence::BadUtf8InFragment, "a surrogate in two fragments", &split));
    breaches
}

/// A text with too many bytes, but not too many characters.
pub(super) fn too_many_bytes(largest: usize) -> Breach {
    let text = "推".repeat(largest / 3 + 1);
    Breach::new(
        Offence::Oversize,
        "a text too long by its bytes alone",
        &[(FINAL | opcode::TEXT, text.as_bytes())],
    )
}
