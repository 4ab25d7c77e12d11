//! What happened, as a digest of everything and as the story of somebody.

use std::fmt::Write as _;
use std::io::Write;

use carillon_server::Timestamp;

/// A rolling digest of what is fed to it, in order.
///
/// One multiplication a word: it tells runs apart, it does not resist anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Takes in one word.
    pub const fn absorb(&mut self, word: u64) {
        let product = (self.0 ^ word ^ 0x9E37_79B9_7F4A_7C15) as u128 * 0xD6E8_FEB8_6659_FD93;
        self.0 = (product as u64).rotate_left(23) ^ (product >> 64) as u64;
    }

    /// Takes in bytes.
    pub fn absorb_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.absorb(u64::from_le_bytes(last));
        self.absorb(bytes.len() as u64);
    }

    /// The digest of these bytes alone.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::default();
        digest.absorb_bytes(bytes);
        digest.value()
    }

    /// The value so far.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// Whose story is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watch {
    /// Everybody's.
    Everybody,
    /// Nobody's, which costs nothing.
    #[default]
    Nobody,
    /// One client's.
    One(u32),
}

/// The record of a run.
#[derive(Default)]
pub struct Trace {
    /// Every event and everything that clients read, with its time.
    pub digest: Digest,
    /// Events so far.
    pub events: u64,
    watch: Watch,
    sink: Option<Box<dyn Write>>,
    line: String,
    failure: Option<std::io::Error>,
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace")
            .field("digest", &self.digest)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl Trace {
    /// A record that writes the story of `watch` to `sink`, a line an event.
    pub fn new(watch: Watch, sink: Option<Box<dyn Write>>) -> Self {
        Self { watch, sink, ..Self::default() }
    }

    /// Whether anybody wants to read about anybody.
    pub(crate) fn is_watching(&self) -> bool {
        self.watch != Watch::Nobody
    }

    /// Whether anybody wants to read about this client.
    pub(crate) fn watches(&self, client: u32) -> bool {
        match self.watch {
            Watch::Nobody => false,
            Watch::Everybody => true,
            Watch::One(watched) => watched == client,
        }
    }

    /// Writes one line of the story: what a client did or saw.
    pub(crate) fn tell(&mut self, at: Timestamp, client: u32, line: impl FnOnce(&mut String)) {
        self.write(at, "client", client, line);
    }

    /// Writes one line of what is behind the story: bytes on a client's wire, and what the server makes of them.
    pub(crate) fn note(&mut self, at: Timestamp, client: u32, line: impl FnOnce(&mut String)) {
        self.write(at, "wire", client, line);
    }

    fn write(&mut self, at: Timestamp, place: &str, client: u32, line: impl FnOnce(&mut String)) {
        if !self.watches(client) {
            return;
        }
        self.line.clear();
        write!(self.line, "{at}  {place} {client}  ").expect("writing to a string does not fail");
        line(&mut self.line);
        if self.line.contains(char::is_control) {
            self.line = escaped(&self.line);
        }
        self.line.push('\n');
        if let Some(sink) = &mut self.sink
            && let Err(error) = sink.write_all(self.line.as_bytes())
        {
            self.sink = None;
            self.failure = Some(error);
        }
    }

    /// Ends the record, and says whether all of it was written.
    ///
    /// # Errors
    ///
    /// The first error of the sink.
    pub fn finish(&mut self) -> std::io::Result<()> {
        if let Some(sink) = &mut self.sink {
            sink.flush()?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// What a client was sent may hold line breaks, and sequences that a terminal obeys.
fn escaped(line: &str) -> String {
    let shown = |character: char| {
        if character.is_control() { character.escape_default().to_string() } else { character.into() }
    };
    line.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(parts: &[&[u8]]) -> u64 {
        let mut digest = Digest::default();
        for part in parts {
            digest.absorb_bytes(part);
        }
        digest.value()
    }

    #[test]
    fn a_line_stays_one_line_whatever_a_client_was_sent() {
        assert_eq!(escaped("echo of a\tb\n\u{1b}[2J 推"), "echo of a\\tb\\n\\u{1b}[2J 推");
    }

    #[test]
    fn order_length_and_every_bit_count() {
        assert_eq!(digest(&[b"ab", b"cd"]), digest(&[b"ab", b"cd"]));
        assert_ne!(digest(&[b"ab", b"cd"]), digest(&[b"cd", b"ab"]));
        assert_ne!(digest(&[b"ab"]), digest(&[b"ab\0"]));
        assert_ne!(digest(&[b"abcd"]), digest(&[b"ab", b"cd"]));
        assert_ne!(digest(&[b"ab"]), digest(&[b"aa"]));
    }
}
