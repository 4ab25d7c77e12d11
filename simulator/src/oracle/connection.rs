//! A connection as its client sees it: what the client has read, what it waits for, and what the model knows.

use std::borrow::Cow;

use carillon_server::Timestamp;

use crate::oracle::coverage::Met;
use crate::oracle::model::Windows;
use crate::trace::Digest;
use crate::wire::codec::{self, Frame, Garbled, opcode};
use crate::wire::offence::Offence;
use crate::wire::text::{Text, TextQueue};

/// The phase of a connection, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The request or its response is in transit.
    Handshake,
    Open,
    /// The client has sent its Close.
    Closing,
    /// The client is gone, with or without a Close.
    Gone,
}

/// One connection of a virtual client. The fields that a delivery touches come first.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Connection {
    pub(crate) windows: Windows,
    /// Bytes that the client has read so far.
    pub(crate) received: u64,
    pub(crate) client: u32,
    /// The number of this connection among its client's connections.
    pub(crate) epoch: u32,
    pub(crate) phase: Phase,
    /// The client has read the server's Close.
    pub(crate) has_close: bool,
    /// The server owes a Close in answer to the client's Close.
    pub(crate) awaits_close: bool,
    /// Whether the model knows a cause for which the server may end this connection.
    pub(crate) may_be_ended: bool,
    /// What the client sends is lost, so the server may consider the client dead.
    pub(crate) is_mute: bool,
    /// The receive window is limited.
    pub(crate) has_window: bool,
    /// The rule that the client has broken, if any.
    pub(crate) offence: Option<Offence>,
    /// The hazards that this connection has met, one bit each.
    pub(crate) met: Met,
    /// The world has yet to see whether the server has run idle.
    pub(crate) is_settling: bool,
    partial: Option<Box<Partial>>,
    /// Pushes that are due but could not pass the link yet.
    pub(crate) owed: Option<Box<Owed>>,
    /// When the server sent the last push that the client has read.
    pub(crate) last_push_at: Timestamp,
    /// Digest of what the client has read, regardless of the times.
    pub(crate) observed: Digest,
    /// Bytes that the client has sent so far.
    pub(crate) sent: u64,
    /// The part of `sent` that the server has taken, in bytes.
    pub(crate) taken: u64,
    /// When the server took the newest of those bytes, or when the client got the 101.
    pub(crate) taken_at: Timestamp,
    /// Bytes that the server has refused so far.
    pub(crate) refused: Option<Box<Refused>>,
    /// The end of the client's stream waits behind the refused bytes.
    pub(crate) is_end_refused: bool,
    /// Texts whose echo is due.
    pub(crate) echoes: TextQueue,
    /// The total length of those texts, in bytes.
    pub(crate) echo_bytes: u64,
    /// At the last check the server held more bytes for the client than it may.
    pub(crate) is_over_held: bool,
    /// The number of echoes that the server owed when its shutdown began.
    pub(crate) echoes_at_drain: u32,
    /// A text whose echo a later echo has overtaken.
    pub(crate) skipped_echo: Option<Text>,
    /// Texts whose log line is due.
    pub(crate) unlogged: TextQueue,
    /// Since when the client waits for the first due echo or log line.
    pub(crate) waiting_since: Timestamp,
    /// The oracle has already reported that the first due echo is late.
    pub(crate) is_overdue: bool,
    /// The number of the ping whose pong is due; 0 for none.
    pub(crate) ping: u32,
    pub(crate) pinged_at: Timestamp,
    pub(crate) opened_at: Timestamp,
    /// When the client ended its side, or vanished.
    pub(crate) ended_at: Timestamp,
}

/// The cycles whose pushes the server owes to a slow connection.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Cycles whose push is due and has not arrived.
    pub(crate) waiting: Vec<u32>,
    /// Cycles whose push is due and was overtaken by a later push.
    pub(crate) overtaken: Vec<u32>,
}

/// Bytes that the server has refused so far. One buffer holds them until the server has taken them in portions.
#[derive(Debug)]
pub(crate) struct Refused {
    bytes: Vec<u8>,
    taken: usize,
}

impl Refused {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), taken: 0 }
    }

    /// Appends bytes that the client sent later.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes that the server has yet to take.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Notes that the server took `count` bytes. Returns whether no byte is left.
    pub(crate) fn take(&mut self, count: usize) -> bool {
        self.taken += count;
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.is_empty()
    }
}

/// A message or a control frame of the server.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: Cow<'a, [u8]>,
    /// Where its first frame begins in the server's stream.
    pub(crate) offset: u64,
}

/// The bytes of an incomplete frame, and the fragments of an incomplete message.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    message: Option<(u8, Vec<u8>)>,
    /// Where the message begins in the server's stream.
    offset: u64,
}

impl Connection {
    pub(crate) fn new(client: u32, epoch: u32, windows: Windows, sent: u64, now: Timestamp) -> Self {
        Self {
            windows,
            received: 0,
            client,
            epoch,
            phase: Phase::Handshake,
            has_close: false,
            awaits_close: false,
            may_be_ended: false,
            is_mute: false,
            has_window: false,
            offence: None,
            met: Met::default(),
            is_settling: false,
            partial: None,
            owed: None,
            last_push_at: Timestamp::ZERO,
            observed: Digest::default(),
            sent,
            taken: 0,
            taken_at: now,
            refused: None,
            is_end_refused: false,
            echoes: TextQueue::default(),
            echo_bytes: 0,
            is_over_held: false,
            echoes_at_drain: 0,
            skipped_echo: None,
            unlogged: TextQueue::default(),
            waiting_since: now,
            is_overdue: false,
            ping: 0,
            pinged_at: now,
            opened_at: now,
            ended_at: Timestamp::MAX,
        }
    }

    /// Whether the client is connected and reads, so that the server owes it every promise.
    pub(crate) fn is_judged(&self) -> bool {
        self.phase == Phase::Open && !self.may_be_ended
    }

    /// Whether the world has dropped the details of this connection. What its client read is part of the total digest.
    pub(crate) fn is_folded(&self) -> bool {
        self.client == u32::MAX
    }

    /// Whether the client is gone and the server cannot know.
    pub(crate) fn has_vanished(&self) -> bool {
        self.phase == Phase::Gone && !self.may_be_ended
    }

    /// Notes that the client sent a text whose echo is due.
    pub(crate) fn expect_echo(&mut self, text: Text) {
        self.echo_bytes += u64::from(text.length());
        self.echoes.push(text);
    }

    /// Removes the first due echo and returns its text.
    pub(crate) fn pop_echo(&mut self) -> Option<Text> {
        let text = self.echoes.pop()?;
        self.echo_bytes -= u64::from(text.length());
        Some(text)
    }

    /// Removes all due echoes.
    pub(crate) fn forget_echoes(&mut self) {
        self.echoes.clear();
        self.echo_bytes = 0;
    }

    /// Whether the next byte begins a frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.partial.is_none()
    }

    /// Joins the bytes left over from the last read with those that have arrived. The caller gives the rest back with
    /// [`Connection::store_rest`].
    pub(crate) fn join<'a>(&mut self, arrived: &'a [u8]) -> Cow<'a, [u8]> {
        match &mut self.partial {
            Some(partial) if !partial.bytes.is_empty() => {
                let mut bytes = std::mem::take(&mut partial.bytes);
                bytes.extend_from_slice(arrived);
                Cow::Owned(bytes)
            }
            _ => Cow::Borrowed(arrived),
        }
    }

    /// Keeps the bytes of an incomplete frame, which follow the first `used` bytes.
    pub(crate) fn store_rest(&mut self, bytes: Cow<'_, [u8]>, used: usize) {
        if used < bytes.len() {
            let mut bytes = bytes.into_owned();
            bytes.drain(..used);
            self.partial.get_or_insert_default().bytes = bytes;
        } else if self.partial.as_ref().is_some_and(|partial| partial.message.is_none()) {
            self.partial = None;
        }
    }

    /// The next whole frame at the front of `bytes`, and its offset in the server's stream.
    ///
    /// # Errors
    ///
    /// Bytes that no server may send.
    pub(crate) fn next_frame<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Frame<'a>, u64)>, Garbled> {
        let frame = codec::split_frame(bytes)?;
        Ok(frame.map(|frame| {
            let offset = self.received;
            self.received += frame.length as u64;
            (frame, offset)
        }))
    }

    /// Reads a frame that begins at `offset`. Returns the message or the control frame that it completes.
    ///
    /// # Errors
    ///
    /// Fragments in an order that no server may send.
    pub(crate) fn complete<'a>(
        &mut self,
        frame: Frame<'a>,
        offset: u64,
    ) -> Result<Option<Message<'a>>, Garbled> {
        let Frame { first, payload, .. } = frame;
        let is_control = first & 0x08 != 0;
        let is_whole = first & 0x80 != 0 && first & 0x0F != opcode::CONTINUATION && self.is_between_frames();
        if is_control || is_whole {
            return Ok(Some(Message { opcode: first & 0x0F, payload: Cow::Borrowed(payload), offset }));
        }
        // A message breaks a promise at the offset where it begins.
        let offset = self.message_offset(offset);
        let message = self.assemble(first, payload)?;
        Ok(message.map(|(opcode, payload)| Message { opcode, payload: Cow::Owned(payload), offset }))
    }

    fn message_offset(&mut self, offset: u64) -> u64 {
        let partial = self.partial.get_or_insert_default();
        if partial.message.is_none() {
            partial.offset = offset;
        }
        partial.offset
    }

    /// Adds a data frame to the incomplete message. Returns the message with its opcode once it is complete.
    fn assemble(&mut self, first: u8, payload: &[u8]) -> Result<Option<(u8, Vec<u8>)>, Garbled> {
        let (opcode, is_final) = (first & 0x0F, first & 0x80 != 0);
        let partial = self.partial.get_or_insert_default();
        let (kind, mut message) = match (opcode, partial.message.take()) {
            (opcode::CONTINUATION, Some(message)) => message,
            (opcode::CONTINUATION, None) => {
                return Err(Garbled::new("a continuation of nothing from the server"));
            }
            (_, Some(_)) => return Err(Garbled::new("a message in the middle of another from the server")),
            (kind, None) => (kind, Vec::new()),
        };
        message.extend_from_slice(payload);
        if is_final {
            return Ok(Some((kind, message)));
        }
        partial.message = Some((kind, message));
        Ok(None)
    }
}
