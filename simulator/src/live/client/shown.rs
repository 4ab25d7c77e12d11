//! Bytes as stories show them: escaped, and cut.

/// The most bytes that are shown.
const SHOWN: usize = 48;

/// Bytes in quotes, escaped, and cut if they are many.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut end = bytes.len().min(SHOWN);
    // A character that the cut divides would look like a wrong byte.
    while end < bytes.len() && end > 0 && bytes[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    let mut text = String::new();
    for chunk in bytes[..end].utf8_chunks() {
        text.push_str(&chunk.valid().escape_debug().to_string());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if end < bytes.len() { format!("\"{text}…\" ({} bytes)", bytes.len()) } else { format!("\"{text}\"") }
}

/// A status code of a Close, as `of 1001` or `without a code`.
pub(crate) fn with_code(code: Option<u16>) -> String {
    code.map_or("without a code".to_owned(), |code| format!("of {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped_and_cut_between_characters() {
        assert_eq!(shown(b"a\0b\xff\n"), "\"a\\0b\\xff\\n\"");
        let long = "推".repeat(40);
        assert_eq!(shown(long.as_bytes()), format!("\"{}…\" (120 bytes)", "推".repeat(16)));
        assert_eq!(with_code(Some(1012)), "of 1012");
    }
}
