//! Text in the midst of SVG, HTML and XML.

use std::fmt::Write;

/// Text in which nothing is a sign of markup. What clients were sent may hold anything: control characters and what else
/// XML forbids (section 2.2) are spelt out.
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
    fn nothing_in_a_text_is_taken_for_markup() {
        let text = "<script a=\"b\">&amp;\u{1b}[2J\u{0}\t\n推";
        let expected = "&lt;script a=&quot;b&quot;&gt;&amp;amp;\\u{1b}[2J\\u{0}\t\n推";
        assert_eq!(escaped(text), expected);
    }
}
