//! For tests: frames of a client, encoded without the code under test.

/// A masked frame with this first byte, which may be illegal. The payload has at most 65,535 bytes.
pub(crate) fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..=125 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A masked text message in one frame.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes(), [1, 2, 3, 4])
}
