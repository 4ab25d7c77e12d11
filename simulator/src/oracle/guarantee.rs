//! The numbered promises of `PROTOCOL.md`.

use std::fmt;
use std::str::FromStr;

use carillon_server::PROTOCOL;

/// One numbered promise of `PROTOCOL.md`. It displays as `G1` to `G15` and is read in the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// A new connection is subscribed until the client unsubscribes.
    G1,
    /// An unsubscribed client gets no push.
    G2,
    /// Every connected, reading, subscribed client gets every cycle's push.
    G3,
    /// A connection gets at most one push per cycle.
    G4,
    /// Pushes arrive in cycle order, replies in the order of messages.
    G5,
    /// The push text names the due instant and is the same for every client.
    G6,
    /// Cycles are exactly one period apart and are never bunched.
    G7,
    /// Any other text is echoed once, byte for byte.
    G8,
    /// Commands and binary frames get no reply.
    G9,
    /// No client delays another client's push, and the memory for each client is bounded.
    G10,
    /// An ended connection leaves nothing in the server.
    G11,
    /// Malformed input gets the close code that RFC 6455 names.
    G12,
    /// Heartbeats are answered, and a dead client is detected.
    G13,
    /// A shutdown sends what is queued, closes with 1001 and meets its deadline.
    G14,
    /// Connects, disconnects, messages and commands are logged.
    G15,
}

impl Guarantee {
    /// All guarantees, in order.
    pub const ALL: [Self; 15] = [
        Self::G1,
        Self::G2,
        Self::G3,
        Self::G4,
        Self::G5,
        Self::G6,
        Self::G7,
        Self::G8,
        Self::G9,
        Self::G10,
        Self::G11,
        Self::G12,
        Self::G13,
        Self::G14,
        Self::G15,
    ];

    /// The place in [`Guarantee::ALL`], 0 to 14.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in `PROTOCOL.md`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::G1 => "Subscribed by default",
            Self::G2 => "Silence while unsubscribed",
            Self::G3 => "Every subscriber, every cycle",
            Self::G4 => "At most once",
            Self::G5 => "In order",
            Self::G6 => "Exact text",
            Self::G7 => "On the grid",
            Self::G8 => "Faithful echo",
            Self::G9 => "Quiet commands",
            Self::G10 => "No client delays another",
            Self::G11 => "Nothing left behind",
            Self::G12 => "Malformed input named",
            Self::G13 => "Alive or found out",
            Self::G14 => "Clean shutdown",
            Self::G15 => "Logged",
        }
    }

    /// The first sentence of the promise in `PROTOCOL.md`.
    pub fn promise(self) -> String {
        let heading = format!("## {self} · {}\n", self.name());
        let section = PROTOCOL.split_once(&heading).map_or("", |(_, section)| section);
        let promise = section.split_once("* **Promise.** ").map_or("", |(_, promise)| promise);
        let words: Vec<&str> = promise.split("\n* ").next().unwrap_or_default().split_whitespace().collect();
        first_sentence(&words.join(" ")).replace('`', "")
    }
}

/// The text up to a full stop that a space and a capital follow, or up to a table.
fn first_sentence(text: &str) -> String {
    let text = text.split(" | ").next().unwrap_or_default();
    let ends = text.match_indices(". ").map(|(place, _)| place + 1);
    let is_end = |place: &usize| text[*place..].trim_start().starts_with(char::is_uppercase);
    let end = ends.into_iter().find(is_end).unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

impl FromStr for Guarantee {
    type Err = String;

    /// Reads `G1` to `G15`, in either case.
    fn from_str(name: &str) -> Result<Self, String> {
        let is_meant = |guarantee: &Self| guarantee.to_string().eq_ignore_ascii_case(name);
        Self::ALL
            .into_iter()
            .find(is_meant)
            .ok_or_else(|| format!("{name:?} is no guarantee; allowed: G1 to G15"))
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("G{}", self.index() + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_md_has_a_heading_for_each_guarantee() {
        for guarantee in Guarantee::ALL {
            let heading = format!("{guarantee} · {}", guarantee.name());
            assert!(PROTOCOL.contains(&heading), "no heading {heading:?} in PROTOCOL.md");
        }
    }

    #[test]
    fn every_guarantee_has_a_promise_of_one_sentence() {
        for guarantee in Guarantee::ALL {
            let sentence = guarantee.promise();
            assert!((10..300).contains(&sentence.len()), "{guarantee}: {sentence:?}");
            assert!(!sentence.contains("**") && !sentence.contains("##"), "{guarantee}: {sentence:?}");
        }
        assert_eq!(Guarantee::G2.promise(), "An unsubscribed client gets no push.");
    }
}
