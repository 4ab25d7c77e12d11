//! A client that offers permessage-deflate as Chrome does, and reads what was agreed (RFC 7692; G8, G6, G12).

use std::collections::VecDeque;
use std::rc::Rc;

use flate2::{Compress, Compression, FlushCompress};

use super::bare_client::{BareClient, COMPRESSED, Event};
use super::session::Session;
use crate::dialect::Stated;
use crate::live::run_state::SocketOptions;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::{Received, opcode};
use crate::wire::inflate::Inflater;
use crate::wire::text::Text;

const ROLE: &str = "client that offers permessage-deflate, as Chrome does";
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// The length of the part that the long text contains twice, in bytes: farther apart than a small window reaches.
const FAR: usize = 5000;

/// The most that comes out of a message, in bytes.
const LARGEST: usize = 1 << 20;

/// What was agreed about the messages of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Agreement {
    window_bits: u8,
    keeps_context: bool,
}

pub(super) fn start(session: &Rc<Session>) {
    if [Guarantee::G6, Guarantee::G8, Guarantee::G12].into_iter().any(|guarantee| session.tries(guarantee)) {
        session.start(offer_compression(Rc::clone(session)));
    }
}

async fn offer_compression(session: Rc<Session>) {
    session.wait(1, 0.5).await;
    let begun = session.state.now();
    let mut client = match BareClient::connect(&session.state, SocketOptions::default(), OFFER).await {
        Ok(client) => client,
        Err(error) => {
            let is_stopped = session.state.judge.borrow().grid.stalled_until(begun).is_some();
            if !is_stopped {
                violate(&session, Guarantee::G3, Fault::Dropped, &error);
            }
            return;
        }
    };
    let agreement = match agreement(&client.head) {
        Ok(agreement) => agreement,
        Err(cause) => {
            let detail = format!("the answer to the offer is no valid agreement: {cause}");
            return violate(&session, Guarantee::G12, Fault::Unexpected, &detail);
        }
    };
    let mut trial = Reader {
        inflater: agreement.map(|agreed| Inflater::new(agreed.window_bits, agreed.keeps_context, LARGEST)),
        due: VecDeque::new(),
        has_push: false,
        compressed: 0,
    };
    say_all(&session, &mut client, &mut trial, agreement.is_some());
    if trial.read_all(&session, &mut client).await {
        let mut judge = session.state.judge.borrow_mut();
        judge.exercise(Guarantee::G8);
        judge.exercise(Guarantee::G12);
        let sentence = match agreement {
            None => "permessage-deflate was offered, and not agreed to".to_owned(),
            Some(_) => {
                format!("permessage-deflate was agreed to; {} messages came compressed", trial.compressed)
            }
        };
        judge.add_finding(Guarantee::G12, sentence);
    }
    client.leave().await;
}

/// Sends texts that a compressor shortens: the same one twice, a long one with a distant repetition, and a compressed
/// one.
fn say_all(session: &Session, client: &mut BareClient, reader: &mut Reader, is_agreed: bool) {
    if !session.state.dialect.is_subscribed {
        client.say(Text::Subscribe);
    }
    let number = client.next_number();
    let short = format!("compress me {number}, {}", "again and ".repeat(12));
    // Digits without an order: only the second half of the text repeats something.
    let far = FAR.min(session.options.longest() / 2);
    let digits = (0..far as u32).map(|place| {
        let bits = place.wrapping_mul(place).wrapping_add(number).wrapping_mul(2_654_435_761);
        char::from(b'a' + (bits >> 24) as u8 % 26)
    });
    let half: String = digits.collect();
    let long = half.repeat(2);
    for text in [short.clone(), short, long] {
        client.send(0x80 | opcode::TEXT, text.as_bytes());
        reader.due.push_back(text);
    }
    if is_agreed {
        let text = format!("compressed {number}: {}", "round ".repeat(9));
        if let Some(bytes) = compressed(&text) {
            client.send(0x80 | COMPRESSED | opcode::TEXT, &bytes);
            reader.due.push_back(text);
        }
    }
}

/// The text in compressed form. It is shorter than the smallest window, so it keeps within any.
fn compressed(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 2 + 64);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(text.as_bytes(), &mut bytes, FlushCompress::Sync).ok()?;
    bytes.strip_suffix(&[0, 0, 0xFF, 0xFF]).map(<[u8]>::to_vec)
}

struct Reader {
    /// `None` if no compression was agreed.
    inflater: Option<Inflater>,
    /// Texts whose echo is due.
    due: VecDeque<String>,
    has_push: bool,
    compressed: u32,
}

impl Reader {
    /// Reads every echo and the next push. Returns whether all was right.
    async fn read_all(&mut self, session: &Session, client: &mut BareClient) -> bool {
        while !self.due.is_empty() {
            let Some(event) = client.next_in_time().await else {
                let sentence = format!("{} of its texts got no echo", self.due.len());
                violate(session, Guarantee::G8, Fault::Lost, &sentence);
                return false;
            };
            if !self.is_right(session, event) {
                return false;
            }
        }
        let next = session.state.judge.borrow().grid.newest(client.now()) + 1;
        let bound = session.instant(next, 0.5) + session.state.grace();
        while !self.has_push && client.now() < bound {
            // If no push comes at all, other clients show it.
            let Some(event) = client.next(bound).await else { return true };
            if !self.is_right(session, event) {
                return false;
            }
        }
        true
    }

    /// Judges an event. Returns whether it was right.
    fn is_right(&mut self, session: &Session, event: Event) -> bool {
        let result = self.read(event).and_then(|message| self.judge(session, message));
        if let Err(wrong) = &result {
            violate(session, wrong.guarantee, wrong.fault, &wrong.sentence);
        }
        result.is_ok()
    }

    /// What a text breaks that cannot be read: it may be an echo as long as one is due.
    fn guarantee_of_text(&self) -> Guarantee {
        if self.due.is_empty() { Guarantee::G6 } else { Guarantee::G8 }
    }

    /// Reads a message, and decompresses it if that was agreed.
    fn read(&mut self, event: Event) -> Result<Message, Wrong> {
        let of_text = self.guarantee_of_text();
        let (code, is_compressed, payload) = match event {
            Event::Message { opcode, is_compressed, payload } => (opcode, is_compressed, payload),
            Event::Garbled(cause) => return Err(Wrong::new(Guarantee::G5, Fault::Garbled, &cause)),
            Event::End(_) => {
                return Err(Wrong::new(of_text, Fault::Dropped, "the server ended the connection"));
            }
        };
        let text = match (&mut self.inflater, is_compressed) {
            (_, false) => payload,
            (None, true) => {
                let sentence = "a message with RSV1, although no extension was agreed";
                return Err(Wrong::new(Guarantee::G5, Fault::Garbled, sentence));
            }
            (Some(inflater), true) => inflater.inflate(&payload).map_err(|cause| {
                let sentence = format!("a compressed message that cannot be read: {cause}");
                Wrong::new(of_text, Fault::Garbled, &sentence)
            })?,
        };
        self.compressed += u32::from(is_compressed);
        Ok(Message { code, is_compressed, text })
    }

    fn judge(&mut self, session: &Session, message: Message) -> Result<(), Wrong> {
        let of_text = self.guarantee_of_text();
        let dialect = &session.state.dialect;
        let how = if message.is_compressed { ", compressed" } else { "" };
        let shown = |kind: &str, text| format!("{kind}{how}: {:?}", start_of(text));
        match dialect.interpret(message.code, &message.text) {
            Ok(Received::Echo(echo)) => match self.due.pop_front() {
                Some(due) if due.as_bytes() == echo => Ok(()),
                _ => Err(Wrong::new(Guarantee::G8, Fault::WrongEcho, &shown("a wrong echo", echo))),
            },
            Ok(Received::Push(push)) => {
                self.has_push = true;
                if dialect.read_push(&String::from_utf8_lossy(push)) == Stated::Wrong {
                    return Err(Wrong::new(Guarantee::G6, Fault::WrongText, &shown("a wrong push", push)));
                }
                Ok(())
            }
            Ok(Received::Close(code)) => {
                let code = code.map_or("without a code".to_owned(), |code| format!("of {code}"));
                let sentence = format!("the server ended the connection with a Close {code}");
                Err(Wrong::new(of_text, Fault::Dropped, &sentence))
            }
            Ok(Received::Unknown(text)) if message.is_compressed => {
                Err(Wrong::new(of_text, Fault::WrongEcho, &shown("neither an echo nor a push", text)))
            }
            Ok(_) => Ok(()),
            Err(garbled) => Err(Wrong::new(of_text, Fault::Garbled, &format!("{}{how}", garbled.0))),
        }
    }
}

/// A message, decompressed if it was compressed.
struct Message {
    code: u8,
    is_compressed: bool,
    text: Vec<u8>,
}

/// What is wrong with a message.
struct Wrong {
    guarantee: Guarantee,
    fault: Fault,
    sentence: String,
}

impl Wrong {
    fn new(guarantee: Guarantee, fault: Fault, sentence: &str) -> Self {
        Self { guarantee, fault, sentence: sentence.to_owned() }
    }
}

/// Reports a violation, unless the server was told to shut down.
fn violate(session: &Session, guarantee: Guarantee, fault: Fault, sentence: &str) {
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    if judge.drained_at.is_none() {
        judge.violate(guarantee, fault, now, None, format!("{ROLE}: {sentence}"));
    }
}

/// The beginning of a text, for a sentence.
fn start_of(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(40).collect()
}

/// What the server agreed to; `None` if it agreed to nothing.
///
/// # Errors
///
/// A sentence that says why the answer to [`OFFER`] is not valid (RFC 7692 sections 5 and 7.1).
fn agreement(head: &str) -> Result<Option<Agreement>, String> {
    let mut agreed = None;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let ours = fields.filter(|(name, _)| name.trim().eq_ignore_ascii_case("sec-websocket-extensions"));
    for extension in ours.flat_map(|(_, value)| value.split(',')) {
        let mut parts = extension.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("permessage-deflate") {
            return Err(format!("{name:?} was not offered"));
        }
        if agreed.is_some() {
            return Err("it names permessage-deflate twice".to_owned());
        }
        agreed = Some(parameters(parts)?);
    }
    Ok(agreed)
}

fn parameters<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Agreement, String> {
    let mut agreement = Agreement { window_bits: 15, keeps_context: true };
    let mut seen: Vec<String> = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        let name = name.to_ascii_lowercase();
        if seen.contains(&name) {
            return Err(format!("the parameter {name} occurs twice"));
        }
        let bits = value.filter(|value| !value.starts_with('0')).and_then(|value| value.parse::<u8>().ok());
        match (name.as_str(), value) {
            ("server_no_context_takeover", None) => agreement.keeps_context = false,
            ("client_no_context_takeover", None) => {}
            ("server_max_window_bits" | "client_max_window_bits", _) => {
                let bits = bits.filter(|bits| (8..=15).contains(bits));
                let bits = bits.ok_or(format!("{part:?} is no number of window bits from 8 to 15"))?;
                if name.starts_with("server") {
                    agreement.window_bits = bits;
                }
            }
            _ => return Err(format!("the parameter {part:?} does not exist")),
        }
        seen.push(name);
    }
    Ok(agreement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: &str) -> Result<Option<Agreement>, String> {
        agreement(&format!("HTTP/1.1 101 Switching Protocols\r\nSec-Websocket-extensions: {value}\r\n\r\n"))
    }

    #[test]
    fn valid_agreements_are_understood() {
        assert_eq!(agreement("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), Ok(None));
        let usual = Agreement { window_bits: 15, keeps_context: true };
        assert_eq!(answer("permessage-deflate"), Ok(Some(usual)));
        assert_eq!(
            answer(
                "permessage-deflate; server_no_context_takeover; client_max_window_bits=12;server_max_window_bits=\"9\""
            ),
            Ok(Some(Agreement { window_bits: 9, keeps_context: false }))
        );
    }

    #[test]
    fn agreements_that_a_browser_refuses_are_refused() {
        for value in [
            "x-webkit-deflate-frame",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=016",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; level=9",
        ] {
            assert!(answer(value).is_err(), "{value}");
        }
    }
}
