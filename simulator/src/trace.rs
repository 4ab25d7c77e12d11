//! The trace of a run: a digest of every event, and one line for each event of the watched clients.

use std::fmt::Write as _;
use std::io::Write;

use carillon_server::Timestamp;

/// A rolling digest of words and bytes, which depends on their order.
///
/// It costs one multiplication per word. It distinguishes runs, but is not cryptographic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Adds one word.
    pub const fn absorb(&mut self, word: u64) {
        let product = (self.0 ^ word ^ 0x9E37_79B9_7F4A_7C15) as u128 * 0xD6E8_FEB8_6659_FD93;
        self.0 = (product as u64).rotate_left(23) ^ (product >> 64) as u64;
    }

    /// Adds bytes and their length.
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

    /// The digest of everything so far.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// The clients whose events a trace writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watch {
    /// All clients.
    All,
    /// No client, which costs nothing.
    #[default]
    None,
    /// The client with this number.
    One(u32),
}

/// The trace of a run.
#[derive(Default)]
pub struct Trace {
    /// The digest of every event, and of everything that clients read, with the times.
    pub digest: Digest,
    /// The number of events so far.
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
    /// A trace that writes the events of the clients in `watch` to `sink`, one line each.
    pub fn new(watch: Watch, sink: Option<Box<dyn Write>>) -> Self {
        Self { watch, sink, ..Self::default() }
    }

    /// Whether the trace writes the events of any client.
    pub(crate) fn is_watching(&self) -> bool {
        self.watch != Watch::None
    }

    /// Whether the trace writes the events of this client.
    pub(crate) fn watches(&self, client: u32) -> bool {
        match self.watch {
            Watch::None => false,
            Watch::All => true,
            Watch::One(watched) => watched == client,
        }
    }

    /// Writes one line about what a client did or saw.
    pub(crate) fn tell(&mut self, at: Timestamp, client: u32, line: impl FnOnce(&mut String)) {
        self.write(at, "client", client, line);
    }

    /// Writes one line about bytes on a client's wire, and the server's reaction to them.
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

    /// Ends the trace, and returns whether all of it was written.
    ///
    /// # Errors
    ///
    /// The first error of the sink. Nothing was written after it.
    pub fn finish(&mut self) -> std::io::Result<()> {
        if let Some(sink) = &mut self.sink {
            sink.flush()?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// Escapes control characters: what a client reads may contain line breaks and terminal sequences.
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
    fn control_characters_in_a_line_are_escaped() {
        assert_eq!(escaped("echo of a\tb\n\u{1b}[2J 推"), "echo of a\\tb\\n\\u{1b}[2J 推");
    }

    #[test]
    fn the_digest_depends_on_order_length_and_every_bit() {
        assert_eq!(digest(&[b"ab", b"cd"]), digest(&[b"ab", b"cd"]));
        assert_ne!(digest(&[b"ab", b"cd"]), digest(&[b"cd", b"ab"]));
        assert_ne!(digest(&[b"ab"]), digest(&[b"ab\0"]));
        assert_ne!(digest(&[b"abcd"]), digest(&[b"ab", b"cd"]));
        assert_ne!(digest(&[b"ab"]), digest(&[b"aa"]));
    }
}
