//! Decompression of permessage-deflate messages (RFC 7692) with the agreed window: a crate that inflates accepts data
//! that needs a larger window, and that is a fault to be found.

/// The lengths and distances of RFC 1951 section 3.2.5: base values and numbers of extra bits.
const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
const LENGTH_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];

/// The order of the code lengths in a dynamic block (section 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The longest code, in bits.
const LONGEST: usize = 15;

/// The bytes that a sender removes from the end of each message (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Why a message cannot be decompressed.
pub(crate) type Cause = String;

/// The decompressor of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Inflater {
    /// The most that a distance may go back, in bytes.
    window: usize,
    keeps_context: bool,
    largest: usize,
    /// The end of what earlier messages contained.
    history: Vec<u8>,
}

impl Inflater {
    /// A decompressor with a window of `bits` (8 to 15). `keeps_context` says whether a message may refer to earlier
    /// ones. Refuses messages longer than `largest` bytes.
    pub(crate) fn new(bits: u8, keeps_context: bool, largest: usize) -> Self {
        Self { window: 1 << bits, keeps_context, largest, history: Vec::new() }
    }

    /// Decompresses a message.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the data.
    pub(crate) fn inflate(&mut self, message: &[u8]) -> Result<Vec<u8>, Cause> {
        let whole = [message, &TAIL].concat();
        let mut bits = Bits { bytes: &whole, place: 0 };
        let start = self.history.len();
        let mut out = std::mem::take(&mut self.history);
        // The message ends where its last block does: the padding of that block and the tail are an empty stored block.
        while bits.place < whole.len() * 8 {
            let is_last = self.block(&mut bits, &mut out, start)?;
            if is_last && bits.place < message.len() * 8 {
                // A final block is allowed, and the next one begins at a whole byte (section 7.2.3.4).
                bits.align();
            } else if is_last {
                break;
            }
        }
        let text = out[start..].to_vec();
        if self.keeps_context {
            let kept = out.len().saturating_sub(self.window);
            out.drain(..kept);
            self.history = out;
        }
        Ok(text)
    }

    /// Reads a block. Returns whether it says that it is the last.
    fn block(&self, bits: &mut Bits<'_>, out: &mut Vec<u8>, start: usize) -> Result<bool, Cause> {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(bits, out)?,
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        0..=143 => 8,
                        144..=255 => 9,
                        256..=279 => 7,
                        _ => 8,
                    })
                    .collect();
                self.compressed(bits, out, start, &Code::new(&lengths), &Code::new(&[5; 30]))?;
            }
            2 => {
                let (literals, distances) = dynamic_codes(bits)?;
                self.compressed(bits, out, start, &literals, &distances)?;
            }
            _ => return Err("a block of the reserved type 3".to_owned()),
        }
        if out.len() - start > self.largest {
            return Err(format!("more than {} bytes come out of it", self.largest));
        }
        Ok(is_last)
    }

    fn compressed(
        &self,
        bits: &mut Bits<'_>,
        out: &mut Vec<u8>,
        start: usize,
        literals: &Code,
        distances: &Code,
    ) -> Result<(), Cause> {
        loop {
            let symbol = literals.read(bits)?;
            if symbol < 256 {
                out.push(symbol as u8);
                continue;
            }
            let Some(place) = usize::from(symbol).checked_sub(257) else { return Ok(()) };
            let (Some(base), Some(extra)) = (LENGTH_BASE.get(place), LENGTH_EXTRA.get(place)) else {
                return Err(format!("the invalid length code {symbol}"));
            };
            let length = usize::from(*base) + bits.take(*extra)?;
            let code = usize::from(distances.read(bits)?);
            let base = DISTANCE_BASE.get(code).ok_or(format!("the invalid distance code {code}"))?;
            let distance = usize::from(*base) + bits.take((code / 2).saturating_sub(1) as u8)?;
            if distance > self.window {
                let window = self.window;
                return Err(format!("it goes {distance} bytes back, and the agreed window has {window}"));
            }
            if distance > out.len() {
                let known = out.len();
                return Err(format!("it goes {distance} bytes back, and only {known} bytes may be known"));
            }
            if out.len() - start + length > self.largest {
                return Err(format!("more than {} bytes come out of it", self.largest));
            }
            for _ in 0..length {
                out.push(out[out.len() - distance]);
            }
        }
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Result<(), Cause> {
    bits.align();
    let (length, check) = (bits.take(16)?, bits.take(16)?);
    if length != !check & 0xFFFF {
        return Err("a stored block whose length and its complement differ".to_owned());
    }
    let from = bits.place / 8;
    let bytes = bits.bytes.get(from..from + length).ok_or("a stored block that is cut short")?;
    out.extend_from_slice(bytes);
    bits.place += length * 8;
    Ok(())
}

fn dynamic_codes(bits: &mut Bits<'_>) -> Result<(Code, Code), Cause> {
    let (literals, distances, orders) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut of_lengths = [0; 19];
    for place in ORDER.into_iter().take(orders) {
        of_lengths[place] = bits.take(3)? as u8;
    }
    let code = Code::new(&of_lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (value, count) = match code.read(bits)? {
            16 => (*lengths.last().ok_or("a repetition of no code length")?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(value, count));
    }
    if lengths.len() > literals + distances {
        return Err("more code lengths than announced".to_owned());
    }
    Ok((Code::new(&lengths[..literals]), Code::new(&lengths[literals..])))
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u8) -> Result<usize, Cause> {
        let mut value = 0;
        for shift in 0..count {
            let byte = self.bytes.get(self.place / 8).ok_or("it is cut short")?;
            value |= usize::from(byte >> (self.place % 8) & 1) << shift;
            self.place += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.place = self.place.next_multiple_of(8);
    }
}

/// A canonical Huffman code (section 3.2.2).
struct Code {
    /// The number of codes of each length, and the symbols in the order of their codes.
    counts: [usize; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; LONGEST + 1];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[usize::from(*length)] += 1);
        let mut symbols: Vec<u16> =
            (0..lengths.len() as u16).filter(|at| lengths[usize::from(*at)] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<u16, Cause> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                // A code that is over-full cannot be read below `first`.
                let place = (index + code).checked_sub(first).ok_or("an invalid code")?;
                return self.symbols.get(place).copied().ok_or("an invalid code".to_owned());
            }
            (index, first) = (index + count, (first + count) << 1);
            code <<= 1;
        }
        Err("an invalid code".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::DeflateEncoder;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    use super::*;

    fn compressed(compress: &mut Compress, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() * 2 + 100);
        compress.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        let length = out.strip_suffix(&TAIL).unwrap().len();
        out.truncate(length);
        out
    }

    #[test]
    fn messages_may_refer_to_earlier_ones_if_that_was_agreed() {
        let text = "Server received: the same words again, and again the same words".as_bytes();
        let mut compress = Compress::new(Compression::best(), false);
        let messages = [compressed(&mut compress, text), compressed(&mut compress, text)];
        assert!(messages[1].len() < messages[0].len() / 2);
        let mut keeping = Inflater::new(15, true, 1 << 20);
        assert!(messages.iter().all(|message| keeping.inflate(message).as_deref() == Ok(text)));
        let mut forgetting = Inflater::new(15, false, 1 << 20);
        assert_eq!(forgetting.inflate(&messages[0]).as_deref(), Ok(text));
        assert!(forgetting.inflate(&messages[1]).unwrap_err().contains("bytes may be known"));
    }

    #[test]
    fn data_that_needs_a_larger_window_is_refused() {
        let noise: Vec<u8> =
            (0..3000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
        let text = [noise.as_slice(), &noise].concat();
        let message = compressed(&mut Compress::new(Compression::best(), false), &text);
        assert_eq!(Inflater::new(12, true, 1 << 20).inflate(&message), Ok(text));
        let cause = Inflater::new(11, true, 1 << 20).inflate(&message).unwrap_err();
        assert!(cause.contains("bytes back, and the agreed window has 2048"), "{cause}");
    }

    #[test]
    fn a_final_block_and_an_empty_message_are_allowed() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"final").unwrap();
        // Section 7.2.3.4: a byte with an empty block behind a final one.
        let message = [encoder.finish().unwrap(), vec![0]].concat();
        assert_eq!(Inflater::new(15, true, 100).inflate(&message).unwrap(), b"final");
        assert_eq!(Inflater::new(15, true, 100).inflate(&[0]).unwrap(), b"");
    }

    #[test]
    fn a_bomb_is_refused() {
        let message = compressed(&mut Compress::new(Compression::best(), false), &[0; 100_000]);
        assert!(
            Inflater::new(15, true, 1000).inflate(&message).unwrap_err().contains("more than 1000 bytes")
        );
    }

    proptest! {
        #[test]
        fn every_text_comes_out_as_it_went_in(texts in prop::collection::vec(".{0,300}", 1..6)) {
            let mut compress = Compress::new(Compression::default(), false);
            let mut inflater = Inflater::new(15, true, 1 << 20);
            for text in texts {
                let message = compressed(&mut compress, text.as_bytes());
                prop_assert_eq!(inflater.inflate(&message).unwrap(), text.as_bytes());
            }
        }

        #[test]
        fn rubbish_causes_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _result = Inflater::new(9, true, 10_000).inflate(&bytes);
        }
    }
}
