//! What each guarantee promises, in the words of `PROTOCOL.md`.

use crate::oracle::guarantee::Guarantee;

const PROTOCOL: &str = include_str!("../../../../server/PROTOCOL.md");

/// The first sentence of a guarantee's section.
pub fn promise(guarantee: Guarantee) -> String {
    let heading = format!("## {guarantee} · {}\n", guarantee.name());
    let section = PROTOCOL.split_once(&heading).map_or("", |(_, section)| section);
    let promise = section.split_once("* **Promise.** ").map_or("", |(_, promise)| promise);
    let words: Vec<&str> = promise.split("\n* ").next().unwrap_or_default().split_whitespace().collect();
    first_sentence(&words.join(" ")).replace('`', "")
}

/// Up to a full stop with a space and a capital behind it, or a table.
fn first_sentence(text: &str) -> String {
    let text = text.split(" | ").next().unwrap_or_default();
    let ends = text.match_indices(". ").map(|(place, _)| place + 1);
    let is_end = |place: &usize| text[*place..].trim_start().starts_with(char::is_uppercase);
    let end = ends.into_iter().find(is_end).unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guarantee_has_a_sentence() {
        for guarantee in Guarantee::ALL {
            let sentence = promise(guarantee);
            assert!((10..300).contains(&sentence.len()), "{guarantee}: {sentence:?}");
            assert!(!sentence.contains("**") && !sentence.contains("##"), "{guarantee}: {sentence:?}");
        }
        assert_eq!(promise(Guarantee::G2), "An unsubscribed client gets no push.");
    }
}
