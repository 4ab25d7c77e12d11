//! What clients send, as bytes.

/// The request for an upgrade.
pub(crate) const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\n\
    Host: carillon.example\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The answer to it.
pub(crate) const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Any key will do where nobody listens in.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked text frame.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        length @ ..=125 => frame.push(0x80 | length as u8),
        length => {
            let length = u16::try_from(length).expect("messages of the benches are short");
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(text.bytes().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// How many bytes the server's text frame with a payload of this length has.
pub(crate) fn length_of_reply(payload: usize) -> usize {
    payload + if payload <= 125 { 2 } else { 4 }
}
