//! An independent codec for RFC 6455: legal and illegal frames of a client, and the frames that a server may send. It
//! shares no code with server or simulator.

/// The sample of RFC 6455 section 1.3, asking for `/ws`.
pub(crate) const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nHost: carillon.test\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The `Sec-WebSocket-Accept` that the RFC demands in the answer to it.
pub(crate) const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// First bytes of final frames, by opcode.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client's frame, which is masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, 0x80, payload.len());
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(TEXT, text.as_bytes())
}

/// A Close with a status code and no reason.
pub(crate) fn close(code: u16) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes())
}

/// A text in two fragments with a ping between them.
pub(crate) fn split_text(text: &str, at: usize, ping: &[u8]) -> Vec<u8> {
    let (first, last) = text.as_bytes().split_at(at);
    [frame(0x01, first), frame(PING, ping), frame(0x80, last)].concat()
}

/// Input that RFC 6455 or the limit of `max_message` bytes forbids, each with the Close code for it (G12).
pub(crate) fn offences(max_message: usize) -> Vec<(&'static str, Vec<u8>, u16)> {
    let not_masked = [header(TEXT, 0, 5), b"hello".to_vec()].concat();
    let half_a_message = frame(0x01, b"half");
    let too_long = vec![b'x'; max_message + 1];
    vec![
        ("a frame that is not masked", not_masked, 1002),
        ("a reserved bit", frame(0xC1, b""), 1002),
        ("a reserved opcode", frame(0x83, b""), 1002),
        ("a reserved control opcode", frame(0x8B, b""), 1002),
        ("a ping in fragments", frame(0x09, b""), 1002),
        ("a ping of 126 bytes", frame(PING, &[0; 126]), 1002),
        ("a continuation of nothing", frame(0x80, b""), 1002),
        ("a message within a message", [half_a_message.clone(), text("new")].concat(), 1002),
        ("a Close with one byte", frame(CLOSE, b"\x03"), 1002),
        ("a Close with code 999", close(999), 1002),
        ("a Close with code 1005", close(1005), 1002),
        ("a Close with code 1015", close(1015), 1002),
        ("a Close with code 5000", close(5000), 1002),
        ("a text that is not UTF-8", frame(TEXT, b"caf\xE9"), 1007),
        ("a text cut within a character", frame(TEXT, b"\xE2\x82"), 1007),
        ("a reason that is not UTF-8", frame(CLOSE, b"\x03\xE8\xFF"), 1007),
        ("a text that is too long", frame(TEXT, &too_long), 1009),
        ("a binary message that is too long", frame(BINARY, &too_long), 1009),
        ("fragments that are too long", [half_a_message, frame(0x80, &too_long[4..])].concat(), 1009),
        (
            "a length of 2^63 - 1",
            [b"\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF".as_slice(), &MASK].concat(),
            1009,
        ),
        ("a length of 2^63", [b"\x81\xFF\x80\0\0\0\0\0\0\0".as_slice(), &MASK].concat(), 1002),
        ("125 in two bytes", [b"\x81\xFE\0\x7D".as_slice(), &MASK, &[0; 125]].concat(), 1002),
        ("65,535 in eight bytes", [b"\x82\xFF\0\0\0\0\0\0\xFF\xFF".as_slice(), &MASK].concat(), 1002),
    ]
}

fn header(first: u8, mask_bit: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask_bit | length as u8),
        126..=0xFFFF => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

/// A frame or a response of the server, as a client understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Close(u16),
    Ping,
    Pong(Vec<u8>),
    /// The answer to a handshake: 101, or an error with its sentence.
    Response(u16),
    Text(String),
}

/// The first frame or response of the server in `bytes`, and its length; `None` if it is not complete.
///
/// # Errors
///
/// A sentence about output that no server may send.
pub(crate) fn listen(bytes: &[u8], is_open: bool) -> Result<Option<(Heard, usize)>, String> {
    if is_open { listen_to_frame(bytes) } else { listen_to_response(bytes) }
}

fn listen_to_response(bytes: &[u8]) -> Result<Option<(Heard, usize)>, String> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4) else {
        return Ok(None);
    };
    let fields = std::str::from_utf8(&bytes[..head]).map_err(|error| format!("response: {error}"))?;
    let mut words = fields.split(' ');
    let status = match (words.next(), words.next().map(str::parse)) {
        (Some("HTTP/1.1"), Some(Ok(status))) => status,
        _ => return Err(format!("not a response: {fields:?}")),
    };
    if status == 101 {
        let is_accepted = fields.lines().any(|field| field == ACCEPT);
        return if is_accepted { Ok(Some((Heard::Response(101), head))) } else { Err(fields.to_owned()) };
    }
    let body = fields.lines().find_map(|field| field.strip_prefix("Content-Length: "));
    let length = head + body.and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok((bytes.len() >= length).then_some((Heard::Response(status), length)))
}

fn listen_to_frame(bytes: &[u8]) -> Result<Option<(Heard, usize)>, String> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    let (start, length) = match (second, bytes) {
        (0..=125, _) => (2, usize::from(second)),
        (126, [_, _, a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [_, _, a, b, c, d, e, f, g, h, ..]) => {
            (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize)
        }
        (126 | 127, _) => return Ok(None),
        _ => return Err(format!("a masked frame: {first:#04x} {second:#04x}")),
    };
    if first & 0x08 != 0 && length > 125 {
        return Err(format!("a control frame of {length} bytes"));
    }
    let Some(payload) = bytes.get(start..start + length) else { return Ok(None) };
    let heard = match first {
        TEXT => Heard::Text(utf8(payload)?),
        CLOSE => Heard::Close(close_code(payload)?),
        PING => Heard::Ping,
        PONG => Heard::Pong(payload.to_vec()),
        _ => return Err(format!("a frame that begins with {first:#04x}")),
    };
    Ok(Some((heard, start + length)))
}

fn close_code(payload: &[u8]) -> Result<u16, String> {
    let [high, low, reason @ ..] = payload else { return Err("a Close without a code".to_owned()) };
    utf8(reason)?;
    Ok(u16::from_be_bytes([*high, *low]))
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| format!("not UTF-8: {error}"))
}
