//! The frame boundaries of a message. The library joins the frames, and some defects show only at these boundaries.

use std::collections::VecDeque;

/// Follows the frame headers in the bytes of a client.
#[derive(Default)]
pub(crate) struct Fragments {
    header: Vec<u8>,
    /// Payload bytes still to come.
    payload: usize,
    current: Vec<usize>,
    complete: VecDeque<Vec<usize>>,
}

impl Fragments {
    /// Takes the next bytes of the client.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let passed = self.payload.min(bytes.len());
                self.payload -= passed;
                bytes = &bytes[passed..];
            } else {
                self.header.push(first);
                bytes = rest;
                self.on_header();
            }
        }
    }

    /// The payload lengths of the frames of the oldest message that was not asked for yet.
    pub(crate) fn take_message(&mut self) -> Vec<usize> {
        self.complete.pop_front().unwrap_or_default()
    }

    fn on_header(&mut self) {
        let Some(length) = self.announced() else { return };
        let (last, data) = (self.header[0] & 0x80 != 0, self.header[0] & 0x08 == 0);
        self.header.clear();
        self.payload = length;
        if data {
            self.current.push(length);
        }
        if data && last {
            self.complete.push_back(std::mem::take(&mut self.current));
        }
    }

    /// The payload length, once the header is complete.
    fn announced(&self) -> Option<usize> {
        let second = *self.header.get(1)?;
        let extra = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 != 0 { 4 } else { 0 };
        if self.header.len() < 2 + extra + mask {
            return None;
        }
        let wide = self.header[2..2 + extra].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        Some(if extra == 0 { usize::from(second & 0x7f) } else { wide })
    }
}
