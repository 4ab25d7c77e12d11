//! A connection as its client sees it: what it has read, what it waits for, and what the model knows of it.

use std::borrow::Cow;

use carillon_server::Timestamp;

use crate::oracle::coverage::Met;
use crate::oracle::model::Windows;
use crate::trace::Digest;
use crate::wire::codec::{self, Frame, Garbled, opcode};
use crate::wire::offence::Offence;
use crate::wire::text::{Text, TextQueue};

/// How far a connection has come, by its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The request is on its way, or its response.
    Handshake,
    Open,
    /// The client has sent its Close.
    Closing,
    /// The client is gone, with or without a word.
    Gone,
}

/// One connection of a virtual client. What a delivery touches comes first.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Connection {
    pub(crate) windows: Windows,
    /// Bytes read so far.
    pub(crate) received: u64,
    pub(crate) client: u32,
    /// The number of this connection among its client's.
    pub(crate) epoch: u32,
    pub(crate) phase: Phase,
    /// The server's Close has been read.
    pub(crate) has_close: bool,
    /// The client's Close wants one back.
    pub(crate) awaits_close: bool,
    /// Whether a cause is known for which the server may end this connection.
    pub(crate) may_be_ended: bool,
    /// What the client sends is lost: the server may find it dead.
    pub(crate) is_mute: bool,
    /// The receive window is limited.
    pub(crate) has_window: bool,
    /// The rule that the client has broken.
    pub(crate) offence: Option<Offence>,
    /// Which faults it has met, a bit each.
    pub(crate) met: Met,
    /// Waits for the world to see whether the server has run idle.
    pub(crate) is_settling: bool,
    partial: Option<Box<Partial>>,
    /// Pushes that are due and could not come through yet.
    pub(crate) owed: Option<Box<Owed>>,
    /// When the last push was sent.
    pub(crate) last_push_at: Timestamp,
    /// What the client has read, whenever it was.
    pub(crate) observed: Digest,
    /// Bytes sent so far.
    pub(crate) sent: u64,
    /// Of them, those that the server has taken.
    pub(crate) taken: u64,
    /// When it took the newest of them, or the client got the 101.
    pub(crate) taken_at: Timestamp,
    /// Bytes that the server refused for now.
    pub(crate) refused: Option<Box<Refused>>,
    /// The end of the client's stream, behind those.
    pub(crate) is_end_refused: bool,
    /// Texts whose echo is due.
    pub(crate) echoes: TextQueue,
    /// How long they are, together.
    pub(crate) echo_bytes: u64,
    /// The server held more of them than it may when somebody looked last.
    pub(crate) is_over_held: bool,
    /// How many of them the server owed when its shutdown began.
    pub(crate) echoes_at_drain: u32,
    /// A text whose echo was overtaken by a later one.
    pub(crate) skipped_echo: Option<Text>,
    /// Texts whose log line is due.
    pub(crate) unlogged: TextQueue,
    /// Since when the first of them is waited for.
    pub(crate) waiting_since: Timestamp,
    /// That it took too long has been said.
    pub(crate) is_overdue: bool,
    /// The number of the ping whose pong is due; 0 for none.
    pub(crate) ping: u32,
    pub(crate) pinged_at: Timestamp,
    pub(crate) opened_at: Timestamp,
    /// When the client ended its side, or stopped being there.
    pub(crate) ended_at: Timestamp,
}

/// The cycles that a slow connection is owed.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Due, and not yet seen.
    pub(crate) waiting: Vec<u32>,
    /// Due, and overtaken by a later one.
    pub(crate) overtaken: Vec<u32>,
}

/// Bytes that the server refused for now, in one buffer for however many turns it takes them in.
#[derive(Debug)]
pub(crate) struct Refused {
    bytes: Vec<u8>,
    taken: usize,
}

impl Refused {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), taken: 0 }
    }

    /// What has come behind them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What the server has yet to take.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The server took so many; whether that was all.
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

/// Bytes of a frame, and of a message, that are not complete.
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

    /// Whether the client is connected, reads, and is owed what was promised.
    pub(crate) fn is_judged(&self) -> bool {
        self.phase == Phase::Open && !self.may_be_ended
    }

    /// Whether its place was given up: what it read is part of the sum of all.
    pub(crate) fn is_folded(&self) -> bool {
        self.client == u32::MAX
    }

    /// Whether the client is gone, and the server has not been told.
    pub(crate) fn has_vanished(&self) -> bool {
        self.phase == Phase::Gone && !self.may_be_ended
    }

    /// A text is on its way whose echo is due.
    pub(crate) fn expect_echo(&mut self, text: Text) {
        self.echo_bytes += u64::from(text.length());
        self.echoes.push(text);
    }

    /// The first echo that is due is due no more.
    pub(crate) fn pop_echo(&mut self) -> Option<Text> {
        let text = self.echoes.pop()?;
        self.echo_bytes -= u64::from(text.length());
        Some(text)
    }

    /// Nobody waits for echoes any more.
    pub(crate) fn forget_echoes(&mut self) {
        self.echoes.clear();
        self.echo_bytes = 0;
    }

    /// Whether the next byte begins a frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.partial.is_none()
    }

    /// Joins what was left over with what has arrived. Give the rest back with [`Connection::store_rest`].
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

    /// Keeps the bytes of a frame that is not complete, behind the first `used` ones.
    pub(crate) fn store_rest(&mut self, bytes: Cow<'_, [u8]>, used: usize) {
        if used < bytes.len() {
            let mut bytes = bytes.into_owned();
            bytes.drain(..used);
            self.partial.get_or_insert_default().bytes = bytes;
        } else if self.partial.as_ref().is_some_and(|partial| partial.message.is_none()) {
            self.partial = None;
        }
    }

    /// The next whole frame at the front of `bytes`, and where it begins in the server's stream.
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

    /// Takes in a frame that begins at `offset`. Returns the message or the control frame that it completes.
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
        // What a message broke is broken where it begins.
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

    /// Adds a data frame to the message under way and returns the message, with its opcode, once it is complete.
    fn assemble(&mut self, first: u8, payload: &[u8]) -> Result<Option<(u8, Vec<u8>)>, Garbled> {
        let (opcode, is_final) = (first & 0x0F, first & 0x80 != 0);
        let partial = self.partial.get_or_insert_default();
        let (kind, mut message) = match (opcode, partial.message.take()) {
            (opcode::CONTINUATION, Some(message)) => message,
            (opcode::CONTINUATION, None) => {
                return Err(Garbled("a continuation of nothing from the server"));
            }
            (_, Some(_)) => return Err(Garbled("a message in the middle of another from the server")),
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
