//! A virtual client with its connection: sending, waiting and leaving.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;

use super::shown::{shown, with_code};
use crate::live::judge::LiveConnection;
use crate::live::run_state::RunState;
use crate::live::server::transport::Transport;
use crate::network::link::End;
use crate::oracle::checker::echoes::guarantee_of_lost;
use crate::oracle::connection::Phase;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::rng::Rng;
use crate::script::verb::Utterance;
use crate::wire::codec::opcode;
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// The longest time in which a server may stand still without being accused of more than that.
const LONGEST_STALL: Duration = Duration::from_secs(10);

/// How often a client checks whether a silent server goes on.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The most recent lines of a story that are kept.
pub(super) const STORY: usize = 6;

/// A client with its connection.
pub(crate) struct LiveClient {
    pub(super) state: Rc<RunState>,
    pub(super) transport: Transport,
    pub(crate) connection: LiveConnection,
    pub(super) rng: Rng,
    pub(super) outgoing: Vec<u8>,
    /// Payloads of pings whose pong has not arrived.
    pub(super) pings: VecDeque<Vec<u8>>,
    pub(super) last_number: u32,
    pub(super) story: VecDeque<String>,
    pub(super) has_story: bool,
    /// When the text whose echo is timed was sent.
    pub(super) echo_timed_since: Option<Timestamp>,
    /// When bytes last passed in either direction, and the time before that.
    pub(super) bytes_at: (Timestamp, Timestamp),
    /// The payload of the last binary message, until the next text.
    pub(super) last_binary: Option<Vec<u8>>,
    /// How many of the texts that the dialect allows after the 101 have come.
    pub(super) opening_texts: usize,
    /// The number of echoes that have come.
    pub(crate) echoes_heard: u32,
    /// How often replies were missing.
    pub(crate) missing: u32,
    /// When the client last sent a pong.
    pub(super) last_pong_at: Option<Timestamp>,
    pub(super) is_reading: bool,
    /// Whether a write has failed.
    pub(super) is_broken: bool,
    /// Whether the client answers pings of the server.
    pub(crate) answers_pings: bool,
    pub(crate) end: Option<End>,
    /// The code of the server's Close, if the server has sent one.
    pub(crate) close_code: Option<Option<u16>>,
    /// The code of the client's own Close, if it was not an answer to the server's.
    pub(crate) closed_with: Option<Option<u16>>,
    /// Whether the client did something after which the server may end the connection.
    pub(crate) may_be_ended: bool,
}

impl LiveClient {
    pub(crate) fn now(&self) -> Timestamp {
        self.state.now()
    }

    /// The client's number, in the form that a violation has.
    pub(crate) fn number(&self) -> Option<u32> {
        Some(self.connection.core.client)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end.is_none() && !self.connection.core.has_close
    }

    /// A new number for a fence, a probe or a ping.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        // Different from the numbers of other clients: an echo that reaches the wrong client is recognised.
        self.connection.core.client * 10_000 + self.last_number
    }

    /// Sends these utterances in one write, as far as the socket accepts it.
    pub(crate) fn say(&mut self, utterances: &[Utterance]) {
        self.state.check_due_cycles(&mut self.connection);
        for utterance in utterances {
            self.compose(*utterance);
        }
        self.write();
    }

    /// Sends commands and a fence behind them. Returns whether the fence's echo arrived, which proves that the
    /// commands took effect.
    pub(crate) async fn command(&mut self, commands: &[Text]) -> bool {
        let number = self.next_number();
        let mut utterances: Vec<_> = commands.iter().map(|text| Utterance::Text(*text)).collect();
        utterances.push(Utterance::Text(Text::Fence(number)));
        self.say(&utterances);
        self.await_replies().await
    }

    /// Sends a fence. Returns whether its echo arrived, which proves that everything sent before took effect.
    pub(crate) async fn fence(&mut self) -> bool {
        self.command(&[]).await
    }

    /// Waits until every text has its echo and every ping its pong. A reply that does not arrive in time counts as
    /// lost. Returns whether all arrived.
    pub(crate) async fn await_replies(&mut self) -> bool {
        let has_all_replies =
            |client: &Self| client.connection.core.echoes.front().is_none() && client.pings.is_empty();
        if self.process_until_answered(self.state.patience, has_all_replies).await {
            // If the connection ends later, an earlier pong is not the cause.
            self.last_pong_at = None;
            return true;
        }
        if self.is_open() && !self.connection.is_excluded && self.is_reading {
            self.report_missing_replies();
        }
        false
    }

    /// Reads, answers and writes until `is_done`, or until `patience` is over. A server that stands still meanwhile
    /// gets that much more time. Returns whether it is done.
    pub(crate) async fn process_until_answered(
        &mut self,
        patience: Duration,
        is_done: impl Fn(&Self) -> bool,
    ) -> bool {
        let asked = self.now();
        let mut until = asked + patience;
        loop {
            if self.process_until_done(until, &is_done).await {
                return true;
            }
            match self.excuse_for_silence(asked, patience) {
                Some(later) if self.end.is_none() => until = later,
                _ => return false,
            }
        }
    }

    /// Until when the client waits on for what it asked for at `asked`: the server stands still, or stood still
    /// meanwhile. `None` if there is no excuse, or none any more.
    fn excuse_for_silence(&self, asked: Timestamp, patience: Duration) -> Option<Timestamp> {
        let now = self.now();
        let mut judge = self.state.judge.borrow_mut();
        if judge.is_silent_since(asked) {
            if now < asked + LONGEST_STALL {
                return Some(now + CHECK_INTERVAL);
            }
            judge.on_hang(asked);
        }
        let until = judge.grid.stalled_until(asked)? + patience;
        (until > now && now < asked + patience + LONGEST_STALL).then_some(until)
    }

    fn report_missing_replies(&mut self) {
        self.missing += 1;
        let (now, client) = (self.now(), Some(self.connection.core.client));
        let patience = self.state.patience;
        if let Some(text) = self.connection.core.echoes.front() {
            let what = self.describe_text(text);
            let detail = self.with_story(&format!("no reply to {what} within {patience:.1?}"));
            let guarantee = guarantee_of_lost(text);
            self.state.judge.borrow_mut().violate(guarantee, Fault::Lost, now, client, detail);
            self.connection.core.forget_echoes();
        }
        if !self.pings.is_empty() {
            let detail = self.with_story(&format!("a ping was not answered within {patience:.1?}"));
            self.state.judge.borrow_mut().violate(Guarantee::G13, Fault::Lost, now, client, detail);
            self.pings.clear();
        }
    }

    /// Sends a ping with this payload.
    pub(crate) fn ping(&mut self, payload: &[u8]) {
        self.compose_frame(0x80 | opcode::PING, payload);
        self.pings.push_back(payload.to_vec());
        self.add_to_story(|| format!("sends a ping of {} bytes", payload.len()));
        self.write();
    }

    /// Sends a text in two fragments with a ping between them.
    pub(crate) fn say_around_ping(&mut self, text: Text) {
        let mut rendered = String::new();
        self.state.dialect.render(text, &mut rendered);
        let (front, back) = rendered.as_bytes().split_at(rendered.len() / 2);
        self.note_text(text);
        self.compose_frame(opcode::TEXT, front);
        self.ping(b"between");
        self.compose_frame(0x80, back);
        self.write();
    }

    /// Sends a text as a binary message. The server must not take it as a command.
    pub(crate) fn say_binary(&mut self, text: Text) {
        let mut word = String::new();
        self.state.dialect.render(text, &mut word);
        self.compose_frame(0x80 | opcode::BINARY, word.as_bytes());
        self.add_to_story(|| format!("sends {} as a binary message", shown(word.as_bytes())));
        self.connection.has_binary_command = true;
        self.last_binary = Some(word.into_bytes());
        self.write();
    }

    /// Sends raw bytes.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
        self.write();
    }

    /// Breaks a rule of the protocol. `largest` is the largest message that the server accepts, in bytes.
    pub(crate) fn offend(&mut self, offence: Offence, largest: usize) {
        let (mut bytes, rng) = (Vec::new(), &mut self.rng);
        offence.encode(&mut bytes, largest, || rng.bits() as u32);
        self.break_rule(offence, offence.name(), &bytes);
    }

    /// Breaks a rule with the given bytes; `kind` is the known offence of which it is a variety.
    pub(crate) fn break_rule(&mut self, kind: Offence, name: &str, bytes: &[u8]) {
        self.connection.core.offence = Some(kind);
        self.may_be_ended = true;
        self.outgoing.extend_from_slice(bytes);
        self.add_to_story(|| format!("offends with {name}: {}", shown(bytes)));
        self.state.judge.borrow_mut().on_offence(self.state.now(), name);
        self.write();
    }

    /// Whether the server has ended the connection, as far as a client that does not read can know.
    pub(crate) fn is_refused(&self) -> bool {
        self.end.is_some() || self.is_broken || self.transport.has_failed()
    }

    /// Whether there are bytes that the socket has not accepted.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty() || (self.transport.has_unsent() && !self.is_broken)
    }

    /// Records no story from now on: the stories of many clients would take much memory.
    pub(crate) fn forget_stories(&mut self) {
        self.has_story = false;
        self.story = VecDeque::new();
    }

    /// The reply that the client waits for says nothing about the network: its round trip is not measured.
    pub(crate) fn forget_timing(&mut self) {
        self.echo_timed_since = None;
    }

    /// The number of bytes that the socket has not accepted.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads once, at most this many bytes.
    pub(crate) fn read_at_most(&mut self, bytes: usize) {
        self.read_some(bytes);
    }

    /// Whether the client waits for echoes.
    pub(crate) fn waits_for_echoes(&self) -> bool {
        self.connection.core.echoes.front().is_some()
    }

    /// Reports echoes that are overdue as lost.
    pub(crate) fn report_overdue_echoes(&mut self) {
        let is_waiting = self.waits_for_echoes() && !self.connection.is_excluded && self.is_reading;
        if is_waiting
            && self.is_open()
            && self.now().since(self.connection.core.waiting_since) > self.state.patience
        {
            self.report_missing_replies();
        }
    }

    /// Checks the cycles whose push must have arrived by now.
    pub(crate) fn check_due_cycles(&mut self) {
        self.state.check_due_cycles(&mut self.connection);
    }

    /// Makes the connection end with a reset when it is dropped.
    pub(crate) fn reset_on_drop(&self) {
        self.transport.reset_on_drop();
    }

    /// Treats everything that was sent as settled; the caller knows why it is.
    pub(crate) fn settle_sent_commands(&mut self) {
        let (received, now) = (self.connection.core.received, self.now());
        self.connection.core.windows.on_idle(u64::MAX, received, now);
    }

    /// Whether the newest command was `subscribe`.
    pub(crate) fn wants_pushes(&self) -> bool {
        self.connection.core.windows.wants()
    }

    /// Starts or stops reading.
    pub(crate) fn set_reading(&mut self, is_reading: bool) {
        self.is_reading = is_reading;
    }

    /// Excludes the client from judgement from now on.
    pub(crate) fn exclude(&mut self) {
        self.state.check_due_cycles(&mut self.connection);
        self.connection.is_excluded = true;
        self.echo_timed_since = None;
        self.may_be_ended = true;
        self.connection.core.forget_echoes();
    }

    /// Sends a Close, with or without a code.
    pub(crate) fn close(&mut self, code: Option<u16>) {
        self.state.check_due_cycles(&mut self.connection);
        let payload = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
        self.compose_frame(0x80 | opcode::CLOSE, &payload);
        self.closed_with = (!self.connection.core.has_close).then_some(code);
        self.connection.core.phase = Phase::Closing;
        self.may_be_ended = true;
        self.add_to_story(|| format!("sends a Close {}", with_code(code)));
        self.write();
    }

    /// Ends the client's side of the stream, and keeps reading.
    pub(crate) fn half_close(&mut self) {
        self.state.check_due_cycles(&mut self.connection);
        self.connection.core.phase = Phase::Closing;
        self.may_be_ended = true;
        self.transport.end();
        self.add_to_story(|| "ends its side of the stream".to_owned());
    }

    /// Leaves with a reset.
    pub(crate) fn reset(mut self) {
        self.state.check_due_cycles(&mut self.connection);
        self.reset_on_drop();
    }

    /// Leaves without a Close, as when a process ends: only the stream ends.
    pub(crate) fn quit(mut self) {
        self.state.check_due_cycles(&mut self.connection);
    }

    /// Reads, answers and writes until an instant, or until the connection ends.
    pub(crate) async fn process_until(&mut self, until: Timestamp) {
        self.process_until_done(until, |_| false).await;
    }

    /// The same, but stops early when `is_done`. Returns whether it is.
    pub(crate) async fn process_until_done(
        &mut self,
        until: Timestamp,
        is_done: impl Fn(&Self) -> bool,
    ) -> bool {
        let state = Rc::clone(&self.state);
        let mut over = std::pin::pin!(state.pulse.sleep_until(until));
        loop {
            if is_done(self) {
                return true;
            }
            if self.end.is_some() {
                // A caller that loops must not starve other tasks or the signal handler.
                tokio::task::yield_now().await;
                return false;
            }
            tokio::select! {
                biased;
                ready = self.transport.readable(), if self.is_reading => match ready {
                    Ok(()) => self.read(),
                    Err(_) => self.on_end(End::Reset),
                },
                ready = self.transport.writable(), if self.has_unsent() => match ready {
                    Ok(()) => self.write(),
                    Err(_) => self.on_end(End::Reset),
                },
                () = &mut over => {
                    state.check_due_cycles(&mut self.connection);
                    return is_done(self);
                }
            }
        }
    }
}
