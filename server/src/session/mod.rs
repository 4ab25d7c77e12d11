//! One connection as a state machine: handshake, open, closing. The module `liveness` holds its timeouts.

mod liveness;

use std::sync::Arc;

use crate::config::Config;
use crate::framing::{self, Decoder, Message};
use crate::handshake::{self, Answer, Refusal};
use crate::log::LogLine;
use crate::outbox::Outbox;
use crate::protocol::{CloseReason, Command, ECHO_PREFIX};
use crate::time::{Now, Timestamp};
use crate::wire::{ConnectionId, Wire};

/// The least that is worth one read from a client that is about to be stalled, in bytes.
const SMALLEST_READ: usize = 1 << 10;

/// The answer to a Close without a status code (RFC 6455 section 7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

/// The protocol state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    phase: Phase,
    decoder: Decoder,
    outbox: Option<Box<Outbox>>,
    last_heard: Timestamp,
    /// The instant at which the phase ends by force; in the open phase, at which a client that was pinged counts as
    /// dead.
    deadline: Timestamp,
    /// The instant at which the subscription took effect; `MAX` while there is none.
    subscribed_since: Timestamp,
    /// The lead of this session's pings, in 256ths of the largest jitter.
    jitter: u8,
    was_open: bool,
    /// How often a check has postponed the deadline.
    postponements: u8,
}

#[derive(Debug)]
enum Phase {
    /// The request's head so far, and whether there is room for one more client.
    Handshake { head: Vec<u8>, is_admitted: bool },
    /// The client and the server exchange messages. A stalled session accepts no input.
    Open { is_pinged: bool, is_stalled: bool },
    /// The server's last bytes are queued. Input is discarded, as closing a socket with unread input would reset the
    /// connection and destroy those bytes on their way.
    Closing { has_ended: bool, is_shut: bool },
}

/// The state of a session after an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Fate {
    Lives,
    /// The session has ended: the hub closes the connection and drops the session.
    Over,
}

/// The hub's data that a session uses while it handles an input.
pub(crate) struct Context<'a, W> {
    pub(crate) id: ConnectionId,
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) wire: &'a mut W,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) is_draining: bool,
}

/// Buffers that are shared by all sessions of a hub, as only one of them runs at a time.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    message: Vec<u8>,
    /// All replies to one input, which are sent in one piece.
    pub(crate) output: Vec<u8>,
}

impl Session {
    /// The session of a connection that has just been accepted. If it is not admitted, its request is answered with
    /// 503.
    pub(crate) fn new(now: Now, config: &Config, is_admitted: bool, jitter: u8) -> Self {
        Self {
            phase: Phase::Handshake { head: Vec::new(), is_admitted },
            decoder: Decoder::default(),
            outbox: None,
            last_heard: now.at,
            deadline: now.at + config.handshake_timeout,
            subscribed_since: Timestamp::MAX,
            jitter,
            was_open: false,
            postponements: 0,
        }
    }

    /// The instant at which the subscription took effect; `MAX` if there is none.
    pub(crate) fn subscribed_since(&self) -> Timestamp {
        self.subscribed_since
    }

    pub(crate) fn has_backlog(&self) -> bool {
        self.outbox.is_some()
    }

    /// Whether the upgrade was ever accepted.
    pub(crate) fn was_open(&self) -> bool {
        self.was_open
    }

    /// The bytes that the server holds for this connection: partial request, partial message and outbox.
    pub(crate) fn held(&self) -> usize {
        let head = match &self.phase {
            Phase::Handshake { head, .. } => head.capacity(),
            Phase::Open { .. } | Phase::Closing { .. } => 0,
        };
        head + self.decoder.held() + self.backlog()
    }

    /// The most bytes that are worth reading from the client next.
    pub(crate) fn input_allowance(&self, config: &Config) -> usize {
        match self.phase {
            // Input of a closing connection is neither kept nor answered.
            Phase::Closing { .. } => usize::MAX,
            Phase::Handshake { .. } | Phase::Open { .. } => {
                (config.outbox_limit / 2).saturating_sub(self.backlog()).max(SMALLEST_READ)
            }
        }
    }

    /// Handles input and returns the number of bytes consumed; the driver offers the rest again after [`Wire::resume`].
    pub(crate) fn handle_input<W: Wire>(&mut self, bytes: &[u8], cx: &mut Context<'_, W>) -> (usize, Fate) {
        let mut input = bytes;
        if let Phase::Handshake { .. } = self.phase {
            self.read_head(&mut input, cx);
        }
        if let Phase::Open { is_pinged, .. } = &mut self.phase {
            *is_pinged = false;
            self.last_heard = cx.now.at;
            self.read_messages(&mut input, cx);
        }
        let fate = self.flush(cx);
        if let Phase::Closing { .. } = self.phase {
            return (bytes.len(), fate);
        }
        (bytes.len() - input.len(), fate)
    }

    /// The socket can accept more bytes.
    pub(crate) fn handle_writable<W: Wire>(&mut self, cx: &mut Context<'_, W>) -> Fate {
        self.flush(cx)
    }

    /// The client has ended its side of the stream. If it has sent no Close, it still gets the queued output, but no
    /// push.
    pub(crate) fn handle_end<W: Wire>(&mut self, cx: &mut Context<'_, W>) -> Fate {
        match &mut self.phase {
            Phase::Handshake { .. } => return Fate::Over,
            Phase::Open { .. } => {
                self.enter_closing(cx);
                self.phase = Phase::Closing { has_ended: true, is_shut: false };
            }
            Phase::Closing { has_ended, .. } => *has_ended = true,
        }
        self.flush(cx)
    }

    /// The server shuts down.
    pub(crate) fn handle_drain<W: Wire>(&mut self, cx: &mut Context<'_, W>) -> Fate {
        match self.phase {
            Phase::Handshake { .. } => self.refuse(Refusal::ShuttingDown, cx),
            Phase::Open { .. } => self.close(CloseReason::GoingAway, cx),
            Phase::Closing { .. } => {}
        }
        self.flush(cx)
    }

    /// Queues the rest of a push, of which the socket accepted `sent` bytes.
    pub(crate) fn queue_push<W: Wire>(
        &mut self,
        frame: &Arc<[u8]>,
        sent: usize,
        cx: &mut Context<'_, W>,
    ) -> Fate {
        let outbox = self.outbox.get_or_insert_default();
        outbox.push_shared(Arc::clone(frame), sent);
        if outbox.len() <= cx.config.outbox_limit {
            return Fate::Lives;
        }
        outbox.discard_unbegun();
        self.close(CloseReason::TooSlow, cx);
        self.flush(cx)
    }

    fn read_head<W: Wire>(&mut self, input: &mut &[u8], cx: &mut Context<'_, W>) {
        let Phase::Handshake { head, is_admitted } = &mut self.phase else {
            return;
        };
        let (before, is_admitted) = (head.len(), *is_admitted);
        let room = (handshake::MAX_HEAD + 1 - before).min(input.len());
        let may_be_complete =
            before == 0 || input[..room].contains(&b'\n') || before + room > handshake::MAX_HEAD;
        head.extend_from_slice(&input[..room]);
        if !may_be_complete {
            *input = &input[room..];
            return;
        }
        match handshake::answer(head, &cx.config.path) {
            Answer::Incomplete => *input = &input[room..],
            Answer::Refuse(refusal) => self.refuse(refusal, cx),
            Answer::Upgrade { .. } if cx.is_draining => self.refuse(Refusal::ShuttingDown, cx),
            Answer::Upgrade { .. } if !is_admitted => self.refuse(Refusal::Full, cx),
            Answer::Upgrade { response, consumed } => {
                *input = &input[consumed - before..];
                self.send_response(response.as_bytes(), cx);
                self.phase = Phase::Open { is_pinged: false, is_stalled: false };
                self.deadline = Timestamp::MAX;
                self.subscribed_since = cx.now.at;
                self.was_open = true;
                cx.wire.log(LogLine::Connected);
            }
        }
    }

    fn refuse<W: Wire>(&mut self, refusal: Refusal, cx: &mut Context<'_, W>) {
        cx.wire.log(LogLine::Refused { status: refusal.status() });
        cx.scratch.output.extend_from_slice(refusal.response().as_bytes());
        self.enter_closing(cx);
    }

    /// Handles messages until the input is used up, the session closes, or half of the outbox is full of answers.
    fn read_messages<W: Wire>(&mut self, input: &mut &[u8], cx: &mut Context<'_, W>) {
        while !input.is_empty() && matches!(self.phase, Phase::Open { .. }) {
            if self.backlog() + cx.scratch.output.len() > cx.config.outbox_limit / 2 {
                self.send_output(cx);
                if self.is_over_half(cx.config) {
                    self.phase = Phase::Open { is_pinged: false, is_stalled: true };
                    return;
                }
            }
            let mut message_buffer = std::mem::take(&mut cx.scratch.message);
            match self.decoder.decode(input, &mut message_buffer, cx.config.max_message) {
                Ok(Some(message)) => self.handle_message(message, cx),
                Ok(None) => {}
                Err(reason) => self.close(reason, cx),
            }
            cx.scratch.message = message_buffer;
        }
    }

    fn handle_message<W: Wire>(&mut self, message: Message<'_>, cx: &mut Context<'_, W>) {
        match message {
            Message::Text(text) => self.handle_text(text, cx),
            Message::Ping(payload) => framing::encode_pong(&mut cx.scratch.output, payload),
            Message::Close(code) => {
                framing::encode_close(&mut cx.scratch.output, code.unwrap_or(NORMAL_CLOSURE), "");
                self.enter_closing(cx);
            }
            Message::Binary | Message::Pong => {}
        }
    }

    fn handle_text<W: Wire>(&mut self, text: &str, cx: &mut Context<'_, W>) {
        cx.wire.log(LogLine::Received { text });
        match Command::parse(text) {
            Some(Command::Subscribe) => {
                // An existing subscription keeps its age. Otherwise a repeated command could cost a push that was due.
                if self.subscribed_since == Timestamp::MAX {
                    self.subscribed_since = cx.now.at;
                }
                cx.wire.log(LogLine::Subscribed);
            }
            Some(Command::Unsubscribe) => {
                self.subscribed_since = Timestamp::MAX;
                cx.wire.log(LogLine::Unsubscribed);
            }
            None => framing::encode_text(&mut cx.scratch.output, &[ECHO_PREFIX, text]),
        }
    }

    fn close<W: Wire>(&mut self, reason: CloseReason, cx: &mut Context<'_, W>) {
        cx.wire.log(LogLine::Closing { reason });
        framing::encode_close(&mut cx.scratch.output, reason.code(), reason.sentence());
        self.enter_closing(cx);
    }

    /// From here on the server sends only the queued output and ignores all input.
    fn enter_closing<W: Wire>(&mut self, cx: &mut Context<'_, W>) {
        if let Phase::Open { is_stalled: true, .. } = self.phase {
            cx.wire.resume(cx.id);
        }
        self.phase = Phase::Closing { has_ended: false, is_shut: false };
        self.deadline = cx.now.at + cx.config.close_timeout;
        self.postponements = 0;
        self.subscribed_since = Timestamp::MAX;
        self.decoder = Decoder::default();
    }

    /// Sends what the socket accepts, then resumes input, shuts down or ends the session if the output allows it.
    fn flush<W: Wire>(&mut self, cx: &mut Context<'_, W>) -> Fate {
        self.send_outbox(cx);
        self.send_output(cx);
        let is_over_half = self.is_over_half(cx.config);
        let is_sent = self.outbox.is_none();
        match &mut self.phase {
            Phase::Open { is_stalled, .. } if *is_stalled && !is_over_half => {
                *is_stalled = false;
                cx.wire.resume(cx.id);
            }
            Phase::Closing { has_ended: true, .. } if is_sent => return Fate::Over,
            Phase::Closing { is_shut, .. } if is_sent && !*is_shut => {
                *is_shut = true;
                cx.wire.shutdown(cx.id);
            }
            _ => {}
        }
        Fate::Lives
    }

    fn send_outbox<W: Wire>(&mut self, cx: &mut Context<'_, W>) {
        let Some(outbox) = &mut self.outbox else { return };
        let before = outbox.len();
        outbox.flush(|bytes| cx.wire.send(cx.id, bytes));
        if outbox.len() < before {
            self.last_heard = cx.now.at;
            if let Phase::Open { is_pinged, .. } = &mut self.phase {
                *is_pinged = false;
            }
        }
        if outbox.is_empty() {
            self.outbox = None;
        }
    }

    fn send_response<W: Wire>(&mut self, response: &[u8], cx: &mut Context<'_, W>) {
        let sent = cx.wire.send(cx.id, response);
        if sent < response.len() {
            self.outbox.get_or_insert_default().push_response(response, sent);
        }
    }

    fn send_output<W: Wire>(&mut self, cx: &mut Context<'_, W>) {
        let output = &mut cx.scratch.output;
        if output.is_empty() {
            return;
        }
        let sent = if self.outbox.is_none() { cx.wire.send(cx.id, output) } else { 0 };
        if sent < output.len() {
            self.outbox.get_or_insert_default().push_own(output, sent);
        }
        output.clear();
    }

    fn backlog(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    fn is_over_half(&self, config: &Config) -> bool {
        self.backlog() > config.outbox_limit / 2
    }
}
