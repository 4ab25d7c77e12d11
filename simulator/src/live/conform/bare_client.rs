//! A client that reads one message at a time and gives no verdict: its caller judges what arrives.
//!
//! The judge learns nothing from it. So a probe may read late, receive compressed messages, or connect while no other
//! client is connected, and the grid and the measured round trips stay as they are.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use tokio::time::timeout_at;

use crate::live::run_state::{RunState, SocketOptions};
use crate::live::server::transport::Transport;
use crate::network::link::End;
use crate::rng::Rng;
use crate::wire::codec::{self, Received, opcode};
use crate::wire::handshake::Handshake;
use crate::wire::text::Text;

/// The bits of a frame's first byte that say whether it is the last of its message, and whether it is compressed.
pub(super) const FINAL: u8 = 0x80;
pub(super) const COMPRESSED: u8 = 0x40;

/// A part of more bytes than this belongs to a long message, and not to a push or a ping.
const LONG: usize = 4096;

/// The longest incomplete message that is kept, in bytes; it ends the connection.
const LARGEST: usize = 64 << 20;

/// The most replies' times that an exchange may last, however much progress it makes.
const LONGEST_EXCHANGE: u32 = 20;

/// How much longer a server that stands still may be silent.
const LONGEST_STALL: Duration = Duration::from_secs(4);

/// Something that a bare client reads.
#[derive(Debug)]
pub(super) enum Event {
    /// A complete message, or a control frame. A compressed message is as it was sent.
    Message { opcode: u8, is_compressed: bool, payload: Vec<u8> },
    /// The stream has ended.
    End(End),
    /// Bytes that no server may send, with the reason.
    Garbled(Cow<'static, str>),
}

/// A client with its connection.
pub(super) struct BareClient {
    state: Rc<RunState>,
    transport: Transport,
    rng: Rng,
    /// The head of the server's response.
    pub(super) head: String,
    /// Bytes that have arrived, and how many of them were read.
    arrived: Vec<u8>,
    used: usize,
    /// The incomplete message: its opcode, whether it is compressed, and its fragments.
    message: Option<(u8, bool, Vec<u8>)>,
    outgoing: Vec<u8>,
    written: usize,
    is_reading: bool,
    end: Option<End>,
    number: u32,
    last_number: u32,
    /// When the exchange last made progress: a text was sent, a part of a long message moved, or the caller says so.
    /// Pushes and pings, which come without end, are no progress.
    progressed_at: Timestamp,
    /// When the caller last sent something.
    asked_at: Timestamp,
    /// When a byte last left.
    pub(super) sent_at: Timestamp,
}

impl BareClient {
    /// Connects. Each of the `further` fields of the request ends with CR LF.
    ///
    /// # Errors
    ///
    /// A sentence that says why there is no connection.
    pub(super) async fn connect(
        state: &Rc<RunState>,
        options: SocketOptions,
        further: &str,
    ) -> Result<Self, String> {
        let (number, mut rng) = state.register_client();
        let own: String =
            state.dialect.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let target = state.dialect.path.as_deref().unwrap_or(&state.address.target);
        let handshake = Handshake::to(&state.address.host_field(), target, &(own + further), rng.bits());
        let transport = state.open(options).await.map_err(|error| format!("cannot connect: {error}"))?;
        let now = state.now();
        let mut client = Self {
            state: Rc::clone(state),
            transport,
            rng,
            head: String::new(),
            arrived: Vec::new(),
            used: 0,
            message: None,
            outgoing: handshake.request.clone(),
            written: 0,
            is_reading: true,
            end: None,
            number,
            last_number: 0,
            progressed_at: now,
            asked_at: now,
            sent_at: now,
        };
        let deadline = state.pulse.instant(now + state.patience);
        let waiting = timeout_at(deadline, client.complete_handshake(&handshake)).await;
        waiting.unwrap_or_else(|_| Err("no upgrade: the server did not answer in time".to_owned()))?;
        Ok(client)
    }

    /// The same, subscribed and with a fence that was answered: the server serves the connection.
    ///
    /// # Errors
    ///
    /// The same, or the fence got no echo.
    pub(super) async fn connect_and_fence(
        state: &Rc<RunState>,
        options: SocketOptions,
    ) -> Result<Self, String> {
        let mut client = Self::connect(state, options, "").await?;
        if !state.dialect.is_subscribed {
            client.say(Text::Subscribe);
        }
        if client.fence().await { Ok(client) } else { Err("the fence got no echo".to_owned()) }
    }

    async fn complete_handshake(&mut self, handshake: &Handshake) -> Result<(), String> {
        self.write();
        loop {
            self.transport.readable().await.map_err(|error| format!("no upgrade: {error}"))?;
            self.read();
            let read = handshake.read_response(&self.arrived);
            if let Some(length) = read.map_err(|garbled| format!("no upgrade: {}", garbled.0))? {
                self.head = String::from_utf8_lossy(&self.arrived[..length]).into_owned();
                self.used = length;
                return Ok(());
            }
            if self.end.is_some() {
                return Err("no upgrade: the server ended the connection".to_owned());
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.state.now()
    }

    /// A new number for a text, different from the numbers of other clients.
    pub(super) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.number.wrapping_mul(10_000).wrapping_add(self.last_number)
    }

    /// Sends a text, as far as the socket accepts it.
    pub(super) fn say(&mut self, text: Text) {
        let mut rendered = String::new();
        self.state.dialect.render(text, &mut rendered);
        self.send(FINAL | opcode::TEXT, rendered.as_bytes());
    }

    /// Sends a frame with this first byte, as far as the socket accepts it.
    pub(super) fn send(&mut self, first: u8, payload: &[u8]) {
        (self.progressed_at, self.asked_at) = (self.now(), self.now());
        self.queue(first, payload);
    }

    fn queue(&mut self, first: u8, payload: &[u8]) {
        let mask = self.rng.bits() as u32;
        codec::encode_raw(&mut self.outgoing, first, payload, mask);
        self.write();
    }

    /// Leaves with a Close, and waits for the end of the stream as long as a reply may take.
    pub(super) async fn leave(mut self) {
        self.send(FINAL | opcode::CLOSE, &1000_u16.to_be_bytes());
        while !matches!(self.next_in_time().await, None | Some(Event::End(_) | Event::Garbled(_))) {}
    }

    /// Notes that something came that the caller waits for.
    pub(super) fn note_progress(&mut self) {
        self.progressed_at = self.now();
    }

    /// Starts or stops reading.
    pub(super) fn set_reading(&mut self, is_reading: bool) {
        self.is_reading = is_reading;
    }

    /// Whether there are bytes that the socket has not accepted.
    pub(super) fn has_unsent(&self) -> bool {
        self.end.is_none() && (self.written < self.outgoing.len() || self.transport.has_unsent())
    }

    /// Makes the connection end with a reset when it is dropped.
    pub(super) fn reset(self) {
        self.transport.reset_on_drop();
    }

    /// Sends a fence. Returns whether its echo arrived before the server was silent for too long.
    pub(super) async fn fence(&mut self) -> bool {
        let number = self.next_number();
        self.say(Text::Fence(number));
        while let Some(event) = self.next_in_time().await {
            match event {
                Event::End(_) | Event::Garbled(_) => return false,
                Event::Message { .. } if self.is_echo_of(&event, Text::Fence(number)) => return true,
                Event::Message { .. } => {}
            }
        }
        false
    }

    /// Whether the event is the echo of this text.
    pub(super) fn is_echo_of(&self, event: &Event, text: Text) -> bool {
        let Event::Message { opcode, payload, .. } = event else { return false };
        matches!(self.state.dialect.interpret(*opcode, payload), Ok(Received::Echo(echo)) if text.is(echo))
    }

    /// The next event; `None` if the exchange has made no progress for as long as a reply may take. A stop of the server
    /// by the trial does not count.
    pub(super) async fn next_in_time(&mut self) -> Option<Event> {
        loop {
            if self.patient_until() <= self.now() {
                return None;
            }
            if let Some(event) = self.next(self.patient_until()).await {
                return Some(event);
            }
        }
    }

    /// Until when the server may keep the caller waiting. One that is silent on all connections stands still, and gets
    /// more time.
    fn patient_until(&self) -> Timestamp {
        let judge = self.state.judge.borrow();
        let is_silent = judge.is_silent_since(self.progressed_at);
        let patience = self.state.patience + if is_silent { LONGEST_STALL } else { Duration::ZERO };
        let stalled = judge.grid.stalled_until(self.progressed_at);
        let since = stalled.unwrap_or(self.progressed_at).min(self.asked_at + patience * LONGEST_EXCHANGE);
        since + patience
    }

    /// The next event that arrives before an instant. Answers pings, and writes what waits.
    pub(super) async fn next(&mut self, until: Timestamp) -> Option<Event> {
        let state = Rc::clone(&self.state);
        let mut over = std::pin::pin!(state.pulse.sleep_until(until));
        loop {
            if let Some(event) = self.take_event() {
                return Some(event);
            }
            if let Some(end) = self.end {
                // A caller that loops must not starve other tasks.
                tokio::task::yield_now().await;
                return Some(Event::End(end));
            }
            tokio::select! {
                biased;
                _ = self.transport.readable(), if self.is_reading => self.read(),
                _ = self.transport.writable(), if self.has_unsent() => self.write(),
                () = &mut over => return None,
            }
        }
    }

    fn read(&mut self) {
        let mut buffer = self.state.borrow_buffer();
        match self.transport.try_read(&mut buffer) {
            Ok(0) => self.end = Some(End::Finished),
            Ok(length) => {
                self.arrived.extend_from_slice(&buffer[..length]);
                if self.arrived.len() > LONG {
                    self.progressed_at = self.now();
                }
                if self.arrived.len() > LARGEST {
                    self.end = Some(End::Reset);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.end = Some(End::Reset),
        }
        self.state.return_buffer(buffer);
    }

    fn write(&mut self) {
        while self.has_unsent() {
            match self.transport.try_write(&self.outgoing[self.written..]) {
                Ok(length) => {
                    if self.outgoing.len() - self.written > LONG {
                        self.progressed_at = self.now();
                    }
                    self.written += length;
                    self.sent_at = self.now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The reason, if there is one, is in what the server sent: it is read first.
                Err(_) => {
                    self.written = self.outgoing.len();
                    if !self.is_reading {
                        self.end = Some(End::Reset);
                    }
                    return;
                }
            }
        }
        self.outgoing.clear();
        self.written = 0;
    }

    fn take_event(&mut self) -> Option<Event> {
        loop {
            let bytes = &mut self.arrived[self.used..];
            let first = *bytes.first()?;
            bytes[0] &= !COMPRESSED;
            let frame = match codec::split_frame(bytes) {
                Ok(Some(frame)) => (frame.first, frame.payload.to_vec(), frame.length),
                Ok(None) => {
                    bytes[0] = first;
                    self.arrived.drain(..std::mem::take(&mut self.used));
                    return None;
                }
                Err(garbled) => return Some(self.garbled(garbled.0)),
            };
            self.used += frame.2;
            if self.used == self.arrived.len() {
                self.arrived.clear();
                self.used = 0;
            }
            if let Some(event) = self.on_frame(frame.0, first & COMPRESSED != 0, frame.1) {
                return Some(event);
            }
        }
    }

    /// Reads a frame. Returns the message that it completes.
    fn on_frame(&mut self, first: u8, is_compressed: bool, payload: Vec<u8>) -> Option<Event> {
        let code = first & 0x0F;
        if code & 0x08 != 0 {
            if is_compressed {
                return Some(self.garbled("a compressed control frame"));
            }
            if code == opcode::PING {
                self.queue(FINAL | opcode::PONG, &payload);
            }
            return Some(Event::Message { opcode: code, is_compressed, payload });
        }
        let message = match (code, self.message.take()) {
            (opcode::CONTINUATION, Some(_)) if is_compressed => {
                return Some(self.garbled("RSV1 on a frame that continues a message"));
            }
            (opcode::CONTINUATION, Some((code, is_compressed, mut message))) => {
                message.extend_from_slice(&payload);
                (code, is_compressed, message)
            }
            (opcode::CONTINUATION, None) => return Some(self.garbled("a continuation of nothing")),
            (_, Some(_)) => return Some(self.garbled("a message in the middle of another")),
            (code, None) => (code, is_compressed, payload),
        };
        if first & FINAL == 0 {
            self.message = Some(message);
            return None;
        }
        let (opcode, is_compressed, payload) = message;
        Some(Event::Message { opcode, is_compressed, payload })
    }

    /// Nothing can be read behind such bytes.
    fn garbled(&mut self, cause: impl Into<Cow<'static, str>>) -> Event {
        self.end = Some(End::Reset);
        self.arrived.clear();
        self.used = 0;
        Event::Garbled(cause.into())
    }
}
