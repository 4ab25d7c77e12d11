//! RFC 6455 frames: decodes client frames, in pieces of any size, and encodes server frames.
//!
//! tungstenite parses and writes the frame headers and names the opcodes. This module assembles the messages. The
//! `WebSocketContext` of tungstenite does not fit: it copies every message into a buffer of its own, keeps the largest
//! one for the life of the connection, and closes no connection on an error.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::protocol::CloseReason;

/// The longest header of a client's frame: two bytes, an eight-byte length, a four-byte mask.
const MAX_HEADER: usize = 14;

/// The most memory that is reserved at once for a message that arrives in pieces, in bytes. A buffer that grows from a
/// few bytes would fragment the heap (measured: 2 KiB per connection after all clients have sent 60 KB at the same
/// time).
const FIRST_PIECE: u64 = 4 << 10;

/// The largest payload of a control frame (RFC 6455 section 5.5).
const MAX_CONTROL: u64 = 125;

/// A complete message, or a control frame between the fragments of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Binary,
    Close(Option<u16>),
    Ping(&'a [u8]),
    Pong,
    Text(&'a str),
}

/// Reads the frames of one connection. Between messages it holds only a null pointer.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    partial: Option<Box<Partial>>,
}

/// The state of a message or a frame that is not complete yet.
#[derive(Debug, Default)]
struct Partial {
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The payload of the present control frame as far as received.
    control: Vec<u8>,
    /// The data message under way, if it is not complete.
    message: Option<Assembly>,
}

/// A frame whose header is complete.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    length: u64,
    received: u64,
}

/// A data message as far as received.
#[derive(Debug)]
struct Assembly {
    is_text: bool,
    /// The length in bytes. Binary payloads are counted and discarded, as the server does not use them (G9).
    length: u64,
    text: Vec<u8>,
}

impl Decoder {
    /// Consumes bytes from the front of `input` until a message is complete or `input` is empty.
    ///
    /// The message borrows the memory of `scratch`.
    ///
    /// # Errors
    ///
    /// The reason for which the connection must be closed. Nothing behind the error can be decoded.
    pub(crate) fn decode<'a>(
        &mut self,
        input: &mut &[u8],
        scratch: &'a mut Vec<u8>,
        max_message: usize,
    ) -> Result<Option<Message<'a>>, CloseReason> {
        scratch.clear();
        if self.partial.is_none() {
            if let Some(frame) = whole_frame(input, max_message)? {
                unmask_into(scratch, &input[..frame.length as usize], frame.mask, 0);
                *input = &input[frame.length as usize..];
                return finish(frame.opcode, scratch).map(Some);
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        let partial = self.partial.get_or_insert_default();
        while let Some(done) = partial.step(input, scratch, max_message)? {
            if let Done::Message(opcode) = done {
                if partial.is_idle() {
                    self.partial = None;
                }
                return finish(opcode, scratch).map(Some);
            }
        }
        Ok(None)
    }

    /// The bytes held for a message that is not complete.
    pub(crate) fn held(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            partial.header.capacity()
                + partial.control.capacity()
                + partial.message.as_ref().map_or(0, |message| message.text.capacity())
        })
    }
}

/// The result of a complete frame.
enum Done {
    /// A fragment of a message that is not complete.
    Fragment,
    /// A complete message or control frame, with its payload in the scratch buffer.
    Message(OpCode),
}

impl Partial {
    /// Advances to the end of the frame under way; `None` when `input` ends first.
    fn step(
        &mut self,
        input: &mut &[u8],
        scratch: &mut Vec<u8>,
        max_message: usize,
    ) -> Result<Option<Done>, CloseReason> {
        let mut frame = match self.frame {
            Some(frame) => frame,
            None => match self.read_header(input, max_message)? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        let wanted = usize::try_from(frame.length - frame.received).unwrap_or(usize::MAX);
        let (payload, rest) = input.split_at(wanted.min(input.len()));
        *input = rest;
        self.store(&frame, payload);
        frame.received += payload.len() as u64;
        if frame.received < frame.length {
            self.frame = Some(frame);
            return Ok(None);
        }
        self.frame = None;
        Ok(Some(self.end_frame(&frame, scratch)))
    }

    /// Collects the header byte by byte, as its first bytes tell its length.
    fn read_header(&mut self, input: &mut &[u8], max_message: usize) -> Result<Option<Frame>, CloseReason> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.header.push(byte);
            debug_assert!(self.header.len() <= MAX_HEADER, "a header never grows past its longest form");
            if let Some((frame, _)) = parse_header(&self.header, self.message.as_ref(), max_message)? {
                self.header.clear();
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn store(&mut self, frame: &Frame, payload: &[u8]) {
        match frame.opcode {
            OpCode::Control(_) => unmask_into(&mut self.control, payload, frame.mask, frame.received),
            OpCode::Data(kind) => {
                let is_text = kind == Data::Text;
                let room = if is_text { frame.length.min(FIRST_PIECE) as usize } else { 0 };
                let new = || Assembly { is_text, length: 0, text: Vec::with_capacity(room) };
                let message = self.message.get_or_insert_with(new);
                message.length += payload.len() as u64;
                if message.is_text {
                    unmask_into(&mut message.text, payload, frame.mask, frame.received);
                }
            }
        }
    }

    fn end_frame(&mut self, frame: &Frame, scratch: &mut Vec<u8>) -> Done {
        match frame.opcode {
            OpCode::Control(_) => {
                *scratch = std::mem::take(&mut self.control);
                Done::Message(frame.opcode)
            }
            OpCode::Data(_) if !frame.is_final => Done::Fragment,
            OpCode::Data(_) => {
                let message = self.message.take().expect("a data frame that ended was stored");
                *scratch = message.text;
                Done::Message(OpCode::Data(if message.is_text { Data::Text } else { Data::Binary }))
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.message.is_none() && self.frame.is_none()
    }
}

/// The header of a final frame that lies complete in `input`. Removes the header, so that `input` begins with the
/// payload.
fn whole_frame(input: &mut &[u8], max_message: usize) -> Result<Option<Frame>, CloseReason> {
    let Some((frame, header)) = parse_header(input, None, max_message)? else {
        return Ok(None);
    };
    let is_whole = frame.is_final && (input.len() - header) as u64 >= frame.length;
    if !is_whole {
        return Ok(None);
    }
    *input = &input[header..];
    Ok(Some(frame))
}

/// A legal header at the front of `bytes` and its length in bytes; `None` if the header is not complete.
fn parse_header(
    bytes: &[u8],
    message: Option<&Assembly>,
    max_message: usize,
) -> Result<Option<(Frame, usize)>, CloseReason> {
    let mut cursor = Cursor::new(bytes);
    let parsed =
        FrameHeader::parse(&mut cursor).map_err(|_| CloseReason::ProtocolError("reserved opcode"))?;
    let Some((header, length)) = parsed else {
        return Ok(None);
    };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(CloseReason::ProtocolError("reserved bit set, and no extension was negotiated"));
    }
    let Some(mask) = header.mask else {
        return Err(CloseReason::ProtocolError("frame of a client is not masked"));
    };
    if !is_shortest(cursor.position(), length) {
        return Err(CloseReason::ProtocolError("length is not in its shortest form"));
    }
    match header.opcode {
        OpCode::Control(_) if !header.is_final => {
            return Err(CloseReason::ProtocolError("control frame is fragmented"));
        }
        OpCode::Control(_) if length > MAX_CONTROL => {
            return Err(CloseReason::ProtocolError("control frame is longer than 125 bytes"));
        }
        OpCode::Control(_) => {}
        OpCode::Data(kind) => check_data(kind, length, message, max_message)?,
    }
    let frame = Frame { opcode: header.opcode, is_final: header.is_final, mask, length, received: 0 };
    Ok(Some((frame, cursor.position() as usize)))
}

/// Whether `header` bytes are the shortest header for a masked frame of this length (RFC 6455 section 5.2).
fn is_shortest(header: u64, length: u64) -> bool {
    match header {
        6 => true,
        8 => length > 125,
        _ => length > u64::from(u16::MAX) && length >> 63 == 0,
    }
}

fn check_data(
    kind: Data,
    length: u64,
    message: Option<&Assembly>,
    max_message: usize,
) -> Result<(), CloseReason> {
    match (kind, message) {
        (Data::Continue, None) => Err(CloseReason::ProtocolError("continuation of no message")),
        (Data::Text | Data::Binary, Some(_)) => {
            Err(CloseReason::ProtocolError("new message before the last fragment of the one before"))
        }
        _ => {
            let total = message.map_or(0, |message| message.length).saturating_add(length);
            if total > max_message as u64 { Err(CloseReason::TooBig) } else { Ok(()) }
        }
    }
}

fn finish(opcode: OpCode, payload: &[u8]) -> Result<Message<'_>, CloseReason> {
    match opcode {
        OpCode::Data(Data::Text) => {
            std::str::from_utf8(payload).map(Message::Text).map_err(|_| CloseReason::InvalidText)
        }
        OpCode::Control(Control::Close) => close_code(payload).map(Message::Close),
        OpCode::Control(Control::Ping) => Ok(Message::Ping(payload)),
        OpCode::Control(_) => Ok(Message::Pong),
        OpCode::Data(_) => Ok(Message::Binary),
    }
}

/// The status code of a Close, whose payload is empty or a code and a reason (RFC 6455 section 5.5.1).
fn close_code(payload: &[u8]) -> Result<Option<u16>, CloseReason> {
    match payload {
        [] => Ok(None),
        [_] => Err(CloseReason::ProtocolError("close frame with half a status code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(CloseReason::ProtocolError(
                    // Sent to the client, so these bytes are in the digests of recorded runs.
                    "close frame with a status code that nobody may send",
                ));
            }
            std::str::from_utf8(reason).map_err(|_| CloseReason::InvalidText)?;
            Ok(Some(code))
        }
    }
}

/// RFC 6455 section 7.4 and IANA's registry: 1004–1006 and 1015 are never sent, 1016–2999 are not assigned.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Appends `payload`, which lies `offset` bytes into its frame, to `to` with the mask taken off.
fn unmask_into(to: &mut Vec<u8>, payload: &[u8], mask: [u8; 4], offset: u64) {
    let start = to.len();
    to.extend_from_slice(payload);
    let mut rotated = mask;
    rotated.rotate_left((offset % 4) as usize);
    let word = u64::from(u32::from_ne_bytes(rotated)) * 0x1_0000_0001;
    let mut words = to[start..].chunks_exact_mut(8);
    for chunk in &mut words {
        let value = u64::from_ne_bytes(chunk.try_into().expect("chunks of eight")) ^ word;
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(rotated.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends an unmasked text frame whose payload is `parts`, joined.
pub(crate) fn encode_text(to: &mut Vec<u8>, parts: &[&str]) {
    let length = parts.iter().map(|part| part.len()).sum();
    encode_header(to, OpCode::Data(Data::Text), length);
    for part in parts {
        to.extend_from_slice(part.as_bytes());
    }
}

/// Appends a ping with an empty payload.
pub(crate) fn encode_ping(to: &mut Vec<u8>) {
    encode_header(to, OpCode::Control(Control::Ping), 0);
}

/// Appends a pong with this `payload`, at most 125 bytes.
pub(crate) fn encode_pong(to: &mut Vec<u8>, payload: &[u8]) {
    encode_header(to, OpCode::Control(Control::Pong), payload.len());
    to.extend_from_slice(payload);
}

/// Appends a Close with this status code and sentence, at most 123 bytes.
pub(crate) fn encode_close(to: &mut Vec<u8>, code: u16, sentence: &str) {
    encode_header(to, OpCode::Control(Control::Close), 2 + sentence.len());
    to.extend_from_slice(&code.to_be_bytes());
    to.extend_from_slice(sentence.as_bytes());
}

fn encode_header(to: &mut Vec<u8>, opcode: OpCode, length: usize) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    header.format(length as u64, to).expect("writing to a vector does not fail");
}

/// The length in bytes, header included, of the server frame at the front of `bytes`.
///
/// # Panics
///
/// If `bytes` does not begin with a complete header.
pub(crate) fn frame_length(bytes: &[u8]) -> usize {
    let mut cursor = Cursor::new(bytes);
    let (_, length) =
        FrameHeader::parse(&mut cursor).ok().flatten().expect("only complete frames are ever queued");
    cursor.position() as usize + length as usize
}

#[cfg(test)]
mod tests;
