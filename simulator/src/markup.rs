//! Escapes text for SVG, HTML and XML.

use std::fmt::Write;

/// The text without markup. Texts that clients read may contain any character, so control characters and others that
/// XML forbids (section 2.2) are written as `\u{…}`.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(character),
            other if other.is_control() || matches!(other, '\u{FFFE}' | '\u{FFFF}') => {
                write!(safe, "\\u{{{:x}}}", u32::from(other)).expect("a string takes every text");
            }
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_forbidden_characters_are_escaped() {
        let text = "<script a=\"b\">&amp;\u{1b}[2J\u{0}\t\n推";
        let expected = "&lt;script a=&quot;b&quot;&gt;&amp;amp;\\u{1b}[2J\\u{0}\t\n推";
        assert_eq!(escaped(text), expected);
    }
}
