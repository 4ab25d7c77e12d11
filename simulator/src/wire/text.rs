//! The texts that virtual clients send. They are small, because each connection remembers a queue of them.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use carillon_server::protocol::{Command, SUBSCRIBE, UNSUBSCRIBE};

/// Texts that look like commands and are not: the server must echo each of them (G9).
const NEAR_MISSES: [&str; 8] = [
    "SUBSCRIBE",
    " unsubscribe",
    "subscribe ",
    "Unsubscribe",
    "unsubscribe\n",
    "please unsubscribe me",
    "unsubscribed",
    "sub\0scribe",
];

/// Texts that a careless server changes: it removes a byte order mark, composes characters, changes line ends, stops at
/// a zero, or counts in units of 16 bits.
const ODDITIES: [&str; 9] = [
    "\u{FEFF}unsubscribe",
    "\u{FEFF}",
    "cafe\u{301} \u{212B} \u{1112}\u{1161}\u{11AB}",
    "two\r\nlines\r\n",
    "\rone\n\rother\r",
    "zero \0 and another\0",
    "\u{10FFFF} \u{1F468}\u{200D}\u{1F469} \u{FFFD}\u{FFFE}\u{FFFF}",
    "\u{2028}\u{85}\u{A0} blank \u{3000}",
    "%s%n {} ${x} \\u0041 &amp; <b>\"subscribe\"",
];

/// The filler of probes: characters of one to four bytes, and some at which a careless server trims or cuts.
const FILLER: &str = " grün 推送 naïve 😀 \t\"quoted\" \\ plain\0zero ";

/// A text message of a client. It displays as its name in scripts, not as the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The empty text.
    Empty,
    /// A numbered text whose echo proves that all earlier commands took effect.
    Fence(u32),
    /// The heartbeat of the original app.
    Heartbeat,
    /// The greeting of the original app.
    Hello,
    /// A text that looks like a command; the number selects one.
    NearMiss(u8),
    /// A text that a careless server changes; the number selects one.
    Oddity(u8),
    /// A numbered text of a given length, with characters of one to four bytes.
    Probe {
        /// The number of the probe, which makes its text unique.
        number: u32,
        /// The length in bytes. The text is longer if the number needs more.
        length: u32,
    },
    /// The command `subscribe`.
    Subscribe,
    /// The command `unsubscribe`.
    Unsubscribe,
}

impl Text {
    /// All oddities, each once.
    #[cfg(feature = "live")]
    pub(crate) fn oddities() -> impl Iterator<Item = Self> {
        (0..ODDITIES.len() as u8).map(Self::Oddity)
    }

    pub(crate) fn command(self) -> Option<Command> {
        match self {
            Self::Subscribe => Some(Command::Subscribe),
            Self::Unsubscribe => Some(Command::Unsubscribe),
            _ => None,
        }
    }

    /// Writes the message itself.
    pub(crate) fn render(self, to: &mut impl fmt::Write) -> fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::Fence(number) => write!(to, "fence-{number}"),
            Self::Heartbeat => to.write_str("Heartbeat"),
            Self::Hello => to.write_str("Hello, Server!"),
            Self::NearMiss(which) => to.write_str(NEAR_MISSES[usize::from(which) % NEAR_MISSES.len()]),
            Self::Oddity(which) => to.write_str(ODDITIES[usize::from(which) % ODDITIES.len()]),
            Self::Probe { number, length } => render_probe(to, number, length as usize),
            Self::Subscribe => to.write_str(SUBSCRIBE),
            Self::Unsubscribe => to.write_str(UNSUBSCRIBE),
        }
    }

    /// Appends the message itself.
    pub(crate) fn append_to(self, to: &mut String) {
        self.render(to).expect("writing to a string does not fail");
    }

    /// The length in bytes of a probe; 0 for all other texts, which are short.
    pub(crate) fn length(self) -> u32 {
        if let Self::Probe { length, .. } = self { length } else { 0 }
    }

    /// Whether `bytes` are this text, byte for byte.
    pub(crate) fn is(self, bytes: &[u8]) -> bool {
        if let Self::Probe { length, .. } = self
            && length as usize != bytes.len()
        {
            return false;
        }
        let mut rest = Rest(bytes);
        self.render(&mut rest).is_ok() && rest.0.is_empty()
    }
}

/// Compares what is written with the front of the bytes, and removes it. A difference is an error.
struct Rest<'a>(&'a [u8]);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(part.as_bytes()).ok_or(fmt::Error)?;
        Ok(())
    }
}

fn render_probe(to: &mut impl fmt::Write, number: u32, length: usize) -> fmt::Result {
    // Floods consist of probes, so this loop writes large pieces.
    static LONG_FILLER: LazyLock<String> = LazyLock::new(|| FILLER.repeat(256));

    write!(to, "probe-{number}")?;
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut left = length.saturating_sub("probe-".len() + digits);
    while left >= LONG_FILLER.len() {
        to.write_str(&LONG_FILLER)?;
        left -= LONG_FILLER.len();
    }
    let end = (0..=left).rev().find(|end| LONG_FILLER.is_char_boundary(*end)).unwrap_or(0);
    to.write_str(&LONG_FILLER[..end])?;
    (end..left).try_for_each(|_| to.write_char('.'))
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Fence(number) => write!(f, "fence-{number}"),
            Self::Heartbeat => f.write_str("heartbeat"),
            Self::Hello => f.write_str("hello"),
            Self::NearMiss(which) => write!(f, "near-miss-{which}"),
            Self::Oddity(which) => write!(f, "oddity-{which}"),
            Self::Probe { number, length } => write!(f, "probe-{number}-of-{length}-bytes"),
            Self::Subscribe => f.write_str(SUBSCRIBE),
            Self::Unsubscribe => f.write_str(UNSUBSCRIBE),
        }
    }
}

impl FromStr for Text {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "{word:?} is no text; allowed: empty, fence-N, heartbeat, hello, near-miss-N, oddity-N, \
                 probe-N-of-L-bytes, subscribe, unsubscribe"
            )
        };
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| unknown());
        match word {
            "empty" => Ok(Self::Empty),
            "heartbeat" => Ok(Self::Heartbeat),
            "hello" => Ok(Self::Hello),
            SUBSCRIBE => Ok(Self::Subscribe),
            UNSUBSCRIBE => Ok(Self::Unsubscribe),
            _ => {
                if let Some(digits) = word.strip_prefix("fence-") {
                    return Ok(Self::Fence(number(digits)?));
                }
                if let Some(digits) = word.strip_prefix("near-miss-") {
                    return Ok(Self::NearMiss(digits.parse().map_err(|_| unknown())?));
                }
                if let Some(digits) = word.strip_prefix("oddity-") {
                    return Ok(Self::Oddity(digits.parse().map_err(|_| unknown())?));
                }
                let probe = word.strip_prefix("probe-").and_then(|rest| rest.strip_suffix("-bytes"));
                let (name, length) = probe.and_then(|rest| rest.split_once("-of-")).ok_or_else(unknown)?;
                Ok(Self::Probe { number: number(name)?, length: number(length)? })
            }
        }
    }
}

/// A queue of texts. Usually it holds at most one text, which needs no allocation.
#[derive(Debug, Default)]
pub(crate) struct TextQueue {
    first: Option<Text>,
    #[expect(clippy::box_collection, reason = "a pointer for the many that never need it")]
    rest: Option<Box<VecDeque<Text>>>,
}

impl TextQueue {
    pub(crate) fn push(&mut self, text: Text) {
        if self.first.is_none() {
            self.first = Some(text);
        } else {
            self.rest.get_or_insert_default().push_back(text);
        }
    }

    pub(crate) fn front(&self) -> Option<Text> {
        self.first
    }

    pub(crate) fn pop(&mut self) -> Option<Text> {
        let popped = self.first.take();
        if let Some(rest) = &mut self.rest {
            self.first = rest.pop_front();
            if rest.is_empty() {
                // Most queues never hold two texts again, and an empty `rest` would cost a cache line on each access.
                self.rest = None;
            }
        }
        popped
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// Whether a text after the first fulfils the condition.
    pub(crate) fn has_behind_front(&self, mut is: impl FnMut(Text) -> bool) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.iter().any(|text| is(*text)))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_has_exactly_its_length() {
        for length in (8..300).chain([20_000]) {
            let mut text = String::new();
            let probe = Text::Probe { number: 7, length };
            probe.append_to(&mut text);
            assert_eq!(text.len(), length as usize, "{text:?}");
            assert!(probe.is(text.as_bytes()));
            assert!(!probe.is(&text.as_bytes()[1..]) && !probe.is(&[text.as_bytes(), b"."].concat()));
        }
    }

    #[test]
    fn no_near_miss_is_a_command() {
        for near_miss in NEAR_MISSES.into_iter().chain(ODDITIES) {
            assert_eq!(Command::parse(near_miss), None, "{near_miss:?}");
        }
    }

    #[test]
    fn every_text_reads_back_from_its_name() {
        let probe = Text::Probe { number: 3, length: 500 };
        for text in [
            Text::Empty,
            Text::Fence(12),
            Text::Heartbeat,
            Text::Hello,
            Text::NearMiss(3),
            Text::Oddity(8),
            probe,
            Text::Subscribe,
            Text::Unsubscribe,
        ] {
            assert_eq!(text.to_string().parse(), Ok(text));
        }
        assert!("fence-x".parse::<Text>().is_err());
        assert!("probe-1-of-bytes".parse::<Text>().is_err());
    }

    #[test]
    fn a_queue_of_many_texts_keeps_its_order() {
        let mut queue = TextQueue::default();
        for number in 0..4 {
            queue.push(Text::Fence(number));
        }
        assert_eq!(queue.len(), 4);
        assert!(queue.has_behind_front(|text| text == Text::Fence(3)));
        assert!(!queue.has_behind_front(|text| text == Text::Fence(0)));
        let drained: Vec<Text> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(drained, [Text::Fence(0), Text::Fence(1), Text::Fence(2), Text::Fence(3)]);
    }
}
