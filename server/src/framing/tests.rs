use proptest::prelude::*;
use tungstenite::Message as PeerMessage;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::*;
use crate::client_frames::{frame, text};

const MAX: usize = 1024;

/// A message that outlives the scratch buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Binary,
    Close(Option<u16>),
    Ping(Vec<u8>),
    Pong,
    Text(String),
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Binary => Self::Binary,
            Message::Close(code) => Self::Close(code),
            Message::Ping(payload) => Self::Ping(payload.to_vec()),
            Message::Pong => Self::Pong,
            Message::Text(text) => Self::Text(text.to_owned()),
        }
    }
}

/// Decodes `bytes`, handed over in pieces that end at `cuts`, up to the first error or Close.
fn decode_all(bytes: &[u8], cuts: &[usize]) -> (Vec<Owned>, Option<u16>) {
    let (mut decoder, mut scratch, mut messages) = (Decoder::default(), Vec::new(), Vec::new());
    let mut edges: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    edges.extend([0, bytes.len()]);
    edges.sort_unstable();
    for edge in edges.windows(2) {
        let mut input = &bytes[edge[0]..edge[1]];
        loop {
            match decoder.decode(&mut input, &mut scratch, MAX) {
                Err(reason) => return (messages, Some(reason.code())),
                Ok(None) => break,
                Ok(Some(message)) => {
                    let is_close = matches!(message, Message::Close(_));
                    messages.push(message.into());
                    if is_close {
                        return (messages, None);
                    }
                }
            }
        }
        assert!(input.is_empty(), "the decoder asked for more without having taken everything");
    }
    (messages, None)
}

fn code_of(bytes: &[u8]) -> Option<u16> {
    decode_all(bytes, &[]).1
}

#[test]
fn a_message_in_fragments_is_one_message_and_control_frames_may_come_between() {
    let bytes = [
        frame(0x01, "grü".as_bytes().split_last().unwrap().1, [9; 4]),
        frame(0x89, b"ping", [7; 4]),
        frame(0x00, &"grü".as_bytes()[3..], [8; 4]),
        frame(0x80, b"", [0; 4]),
        text("next"),
    ]
    .concat();
    for cut in 0..bytes.len() {
        let (messages, error) = decode_all(&bytes, &[cut]);
        let expected =
            [Owned::Ping(b"ping".to_vec()), Owned::Text("grü".to_owned()), Owned::Text("next".to_owned())];
        assert_eq!((messages.as_slice(), error), (expected.as_slice(), None), "cut at {cut}");
    }
}

#[test]
fn each_broken_rule_has_the_close_code_of_the_rfc() {
    let unmasked = [0x81, 0x00];
    assert_eq!(code_of(&unmasked), Some(1002), "5.1: a client masks");
    for reserved in [0xC1, 0xA1, 0x91] {
        assert_eq!(code_of(&frame(reserved, b"", [0; 4])), Some(1002), "5.2: reserved bits");
    }
    assert_eq!(code_of(&frame(0x83, b"", [0; 4])), Some(1002), "5.2: reserved opcode");
    assert_eq!(code_of(&frame(0x09, b"", [0; 4])), Some(1002), "5.5: control frames are not fragmented");
    assert_eq!(code_of(&frame(0x89, &[0; 125], [0; 4])), None, "5.5: 125 bytes are short");
    assert_eq!(code_of(&frame(0x89, &[0; 126], [0; 4])), Some(1002), "5.5: control frames are short");
    assert_eq!(code_of(&frame(0x80, b"", [0; 4])), Some(1002), "5.4: nothing to continue");
    assert_eq!(code_of(&[frame(0x01, b"a", [0; 4]), text("b")].concat()), Some(1002), "5.4: no interleaving");
    assert_eq!(code_of(&frame(0x81, &[0xFF], [0; 4])), Some(1007), "8.1: text is UTF-8");
    assert_eq!(code_of(&frame(0x88, &[0x03], [0; 4])), Some(1002), "5.5.1: half a status code");
    assert_eq!(
        code_of(&frame(0x88, &1005u16.to_be_bytes(), [0; 4])),
        Some(1002),
        "7.4.1: 1005 is never sent"
    );
    assert_eq!(code_of(&frame(0x88, &[0x03, 0xE8, 0xFF], [0; 4])), Some(1007), "5.5.1: the reason is UTF-8");
}

#[test]
fn an_incomplete_message_holds_its_bytes_and_those_of_a_control_frame_inside_it() {
    let (mut decoder, mut scratch) = (Decoder::default(), Vec::new());
    let mut hold = |bytes: &[u8]| {
        let mut input = bytes;
        let decoded = decoder.decode(&mut input, &mut scratch, 100_000);
        assert!(matches!(decoded, Ok(None)) && input.is_empty(), "{bytes:?} is no whole message");
        decoder.held()
    };
    let fragment = frame(0x01, &[b'x'; 60_000], [0; 4]);
    let of_the_first_bytes = hold(&fragment[..10]);
    assert!((4096..4200).contains(&of_the_first_bytes), "{of_the_first_bytes} bytes for two");
    let of_the_message = hold(&fragment[10..]);
    assert!((60_000..130_000).contains(&of_the_message), "{of_the_message} bytes for 60,000");
    let with_a_ping = hold(&frame(0x89, &[0; 125], [0; 4])[..100]);
    assert!(
        (94..300).contains(&(with_a_ping - of_the_message)),
        "{with_a_ping} bytes, {of_the_message} before"
    );
}

#[test]
fn a_message_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not() {
    let limit = "x".repeat(MAX);
    assert_eq!(decode_all(&text(&limit), &[]), (vec![Owned::Text(limit.clone())], None));
    assert_eq!(code_of(&text(&(limit.clone() + "x"))), Some(1009));
    let in_two = [frame(0x01, limit.as_bytes(), [1; 4]), frame(0x80, b"x", [1; 4])].concat();
    assert_eq!(code_of(&in_two), Some(1009));
    let binary = [frame(0x02, limit.as_bytes(), [1; 4]), frame(0x80, b"x", [1; 4])].concat();
    assert_eq!(code_of(&binary), Some(1009));
}

#[test]
fn an_announced_length_costs_no_memory_before_the_payload_arrives() {
    let mut decoder = Decoder::default();
    let header = [0x82, 0xFE, 0x04, 0x00, 0, 0, 0, 0];
    assert_eq!(decoder.decode(&mut header.as_slice(), &mut Vec::new(), MAX), Ok(None));
    assert!(decoder.held() < 64, "{} bytes", decoder.held());
}

#[test]
fn between_messages_the_decoder_holds_nothing() {
    let mut decoder = Decoder::default();
    let bytes = text(&"x".repeat(MAX));
    let (head, mut tail) = bytes.split_at(500);
    assert_eq!(decoder.decode(&mut { head }, &mut Vec::new(), MAX), Ok(None));
    assert!(decoder.held() > 400);
    assert!(matches!(decoder.decode(&mut tail, &mut Vec::new(), MAX), Ok(Some(Message::Text(_)))));
    assert!(decoder.partial.is_none());
}

#[test]
fn replies_of_every_length_class_are_read_back_by_tungstenite() {
    for length in [0, 125, 126, 65_535, 65_536] {
        let payload = "x".repeat(length);
        let mut bytes = Vec::new();
        encode_text(&mut bytes, &[&payload[..length / 2], &payload[length / 2..]]);
        assert_eq!(frame_length(&bytes), bytes.len());
        let mut client = WebSocketContext::new(Role::Client, None);
        let message = client.read(&mut Cursor::new(bytes)).expect("a legal frame");
        assert_eq!(message, PeerMessage::text(payload));
    }
}

/// The messages that tungstenite's reader finds in the same bytes, up to the first error or Close.
fn tungstenite_reads(bytes: &[u8]) -> (Vec<Owned>, bool) {
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut stream = Cursor::new(bytes.to_vec());
    let end = stream.get_ref().len() as u64;
    let mut messages = Vec::new();
    loop {
        // The stream discards tungstenite's answers.
        match context.read(&mut Discarding { stream: &mut stream, end }) {
            Ok(PeerMessage::Text(text)) => messages.push(Owned::Text(text.to_string())),
            Ok(PeerMessage::Binary(_)) => messages.push(Owned::Binary),
            Ok(PeerMessage::Ping(payload)) => messages.push(Owned::Ping(payload.to_vec())),
            Ok(PeerMessage::Pong(_)) => messages.push(Owned::Pong),
            Ok(PeerMessage::Close(frame)) => {
                messages.push(Owned::Close(frame.map(|frame| frame.code.into())));
                return (messages, false);
            }
            Ok(PeerMessage::Frame(_)) => unreachable!("only ever sent"),
            Err(tungstenite::Error::Io(_)) => return (messages, false),
            Err(_) => return (messages, true),
        }
    }
}

struct Discarding<'a> {
    stream: &'a mut Cursor<Vec<u8>>,
    end: u64,
}

impl std::io::Read for Discarding<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.stream.position() == self.end {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        std::io::Read::read(self.stream, buffer)
    }
}

impl std::io::Write for Discarding<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        4 => Just(0x81u8),
        2 => prop::sample::select(vec![0x01, 0x00, 0x80, 0x82, 0x02, 0x89, 0x8A]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => ".{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..140),
        1 => (0..2 * MAX).prop_map(|length| vec![b'x'; length]),
    ];
    (first, payload, any::<[u8; 4]>()).prop_map(|(first, payload, mask)| frame(first, &payload, mask))
}

proptest! {
    #[test]
    fn the_sizes_of_the_pieces_change_nothing(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let bytes = frames.concat();
        prop_assert_eq!(decode_all(&bytes, &cuts), decode_all(&bytes, &[]));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<usize>()) {
        prop_assert_eq!(decode_all(&bytes, &[cut]), decode_all(&bytes, &[]));
    }

    #[test]
    fn tungstenite_agrees_on_legal_and_illegal_frames(frames in prop::collection::vec(any_frame(), 0..12)) {
        // The last frame ends a fragmented message or continues none, so that every earlier error is reported.
        let bytes = [frames.concat(), frame(0x80, b"", [0; 4])].concat();
        let (ours, error) = decode_all(&bytes, &[]);
        let (theirs, rejected) = tungstenite_reads(&bytes);
        // tungstenite checks the UTF-8 of a fragment before the message is complete, so the shorter list is a prefix.
        let common = ours.len().min(theirs.len());
        prop_assert_eq!(&ours[..common], &theirs[..common]);
        let is_closed = [&ours, &theirs].iter().any(|read| matches!(read.last(), Some(Owned::Close(_))));
        prop_assert!(is_closed || error.is_some() == rejected, "{:?}, {}", error, rejected);
    }
}
