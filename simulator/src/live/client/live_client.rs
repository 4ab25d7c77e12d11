//! A virtual client with its connection: what it does and waits for.

use std::collections::VecDeque;
use std::rc::Rc;

use carillon_server::Timestamp;

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

/// Lines of a story that are kept.
pub(super) const STORY: usize = 6;

/// A client with its connection.
pub(crate) struct LiveClient {
    pub(super) state: Rc<RunState>,
    pub(super) transport: Transport,
    pub(crate) connection: LiveConnection,
    pub(super) rng: Rng,
    pub(super) outgoing: Vec<u8>,
    /// Payloads whose pong is due.
    pub(super) pings: VecDeque<Vec<u8>>,
    pub(super) last_number: u32,
    pub(super) story: VecDeque<String>,
    pub(super) has_story: bool,
    /// When the text was sent whose echo is timed.
    pub(super) asked: Option<Timestamp>,
    /// When a pong was last sent.
    pub(super) ponged_at: Option<Timestamp>,
    pub(super) is_reading: bool,
    /// Nothing can be sent any more.
    pub(super) is_broken: bool,
    /// Whether pings of the server are answered.
    pub(crate) answers_pings: bool,
    pub(crate) end: Option<End>,
    /// The code of the server's Close.
    pub(crate) close_code: Option<Option<u16>>,
    /// The code of the client's Close, if it has sent one that is no answer.
    pub(crate) closed_with: Option<Option<u16>>,
    /// The client has done something upon which the server may end the connection.
    pub(crate) may_be_ended: bool,
}

impl LiveClient {
    pub(crate) fn now(&self) -> Timestamp {
        self.state.now()
    }

    /// Its number, as a violation states it.
    pub(crate) fn number(&self) -> Option<u32> {
        Some(self.connection.core.client)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end.is_none() && !self.connection.core.has_close
    }

    /// Another number for a fence, a probe or a ping.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        // Unlike those of other clients: an echo that reaches the wrong one is to be known for it.
        self.connection.core.client * 10_000 + self.last_number
    }

    /// Sends these in one write, as far as the socket takes it.
    pub(crate) fn say(&mut self, utterances: &[Utterance]) {
        self.state.settle_accounts(&mut self.connection);
        for utterance in utterances {
            self.compose(*utterance);
        }
        self.write();
    }

    /// Sends a command, and behind it a text that proves that it took effect; whether the proof came.
    pub(crate) async fn command(&mut self, commands: &[Text]) -> bool {
        let number = self.next_number();
        let mut utterances: Vec<_> = commands.iter().map(|text| Utterance::Text(*text)).collect();
        utterances.push(Utterance::Text(Text::Fence(number)));
        self.say(&utterances);
        self.hear_echoes().await
    }

    /// Proves that all that was said before took effect.
    pub(crate) async fn fence(&mut self) -> bool {
        self.command(&[]).await
    }

    /// Waits until every text has its echo. What is not answered in time counts as lost.
    pub(crate) async fn hear_echoes(&mut self) -> bool {
        let (asked, patience) = (self.now(), self.state.patience);
        let is_heard =
            |client: &Self| client.connection.core.echoes.front().is_none() && client.pings.is_empty();
        if self.attend_until(asked + patience, is_heard).await {
            // Whatever ends the connection from now on, it is no pong that was sent before.
            self.ponged_at = None;
            return true;
        }
        let stalled_until = self.state.judge.borrow().grid.stalled_until(asked);
        if let Some(until) = stalled_until
            && self.attend_until(until + patience, is_heard).await
        {
            return true;
        }
        if self.is_open() && !self.connection.is_out && self.is_reading {
            self.report_unheard();
        }
        false
    }

    fn report_unheard(&mut self) {
        let (now, client) = (self.now(), Some(self.connection.core.client));
        let patience = self.state.patience;
        if let Some(text) = self.connection.core.echoes.front() {
            let detail = self.tale(&format!("no reply to {text} within {patience:.1?}"));
            let guarantee = guarantee_of_lost(text);
            self.state.judge.borrow_mut().violate(guarantee, Fault::Lost, now, client, detail);
            self.connection.core.forget_echoes();
        }
        if !self.pings.is_empty() {
            let detail = self.tale(&format!("a ping was not answered within {patience:.1?}"));
            self.state.judge.borrow_mut().violate(Guarantee::G13, Fault::Lost, now, client, detail);
            self.pings.clear();
        }
    }

    /// Sends a ping with this payload.
    pub(crate) fn ping(&mut self, payload: &[u8]) {
        self.compose_frame(0x80 | opcode::PING, payload);
        self.pings.push_back(payload.to_vec());
        self.tell(|| format!("sends a ping of {} bytes", payload.len()));
        self.write();
    }

    /// A text in two fragments with a ping between them.
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

    /// Sends this word as a binary message, in which no word is a command.
    pub(crate) fn say_binary(&mut self, text: Text) {
        let mut word = String::new();
        self.state.dialect.render(text, &mut word);
        self.compose_frame(0x80 | opcode::BINARY, word.as_bytes());
        self.tell(|| format!("sends {text} as a binary message"));
        self.write();
    }

    /// Sends bytes that are no utterance.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
        self.write();
    }

    /// Breaks a rule. What comes then is this client's own affair.
    pub(crate) fn offend(&mut self, offence: Offence, largest: usize) {
        let (mut bytes, rng) = (Vec::new(), &mut self.rng);
        offence.encode(&mut bytes, largest, || rng.bits() as u32);
        self.break_rule(offence, offence.name(), &bytes);
    }

    /// The same with bytes of its own, in the manner of a known offence.
    pub(crate) fn break_rule(&mut self, kind: Offence, name: &str, bytes: &[u8]) {
        self.connection.core.offence = Some(kind);
        self.may_be_ended = true;
        self.outgoing.extend_from_slice(bytes);
        self.tell(|| format!("offends: {name}"));
        self.state.judge.borrow_mut().on_offence(self.state.now());
        self.write();
    }

    /// Whether the server has ended the connection, as far as one knows who does not read.
    pub(crate) fn is_refused(&self) -> bool {
        self.end.is_some() || self.is_broken || self.transport.has_failed()
    }

    /// Whether bytes wait that the socket did not take.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty() || (self.transport.has_unsent() && !self.is_broken)
    }

    /// Tells nothing from now on: stories of many clients are memory.
    pub(crate) fn forget_stories(&mut self) {
        self.has_story = false;
        self.story = VecDeque::new();
    }

    /// Bytes that the socket has not taken.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads this many bytes at most, once.
    pub(crate) fn sip(&mut self, bytes: usize) {
        self.read_some(bytes);
    }

    /// Whether texts have been sent whose echoes have not come.
    pub(crate) fn waits_for_echoes(&self) -> bool {
        self.connection.core.echoes.front().is_some()
    }

    /// An echo that has been waited for too long is lost.
    pub(crate) fn miss_echoes(&mut self) {
        let is_waiting = self.waits_for_echoes() && !self.connection.is_out && self.is_reading;
        if is_waiting
            && self.is_open()
            && self.now().since(self.connection.core.waiting_since) > self.state.patience
        {
            self.report_unheard();
        }
    }

    /// Looks at the cycles that are over.
    pub(crate) fn settle_accounts(&mut self) {
        self.state.settle_accounts(&mut self.connection);
    }

    /// Is reset by this side when it is dropped.
    pub(crate) fn cut(&self) {
        self.transport.cut();
    }

    /// What was sent has taken effect, for a reason that the caller of this knows.
    pub(crate) fn settle(&mut self) {
        let (received, now) = (self.connection.core.received, self.now());
        self.connection.core.windows.on_idle(u64::MAX, received, now);
    }

    /// Whether its newest command was to subscribe.
    pub(crate) fn wants_pushes(&self) -> bool {
        self.connection.core.windows.wants()
    }

    /// From now on it reads, or does not.
    pub(crate) fn set_reading(&mut self, is_reading: bool) {
        self.is_reading = is_reading;
    }

    /// Nobody is to judge what this client gets from now on.
    pub(crate) fn drop_out(&mut self) {
        self.state.settle_accounts(&mut self.connection);
        self.connection.is_out = true;
        self.asked = None;
        self.may_be_ended = true;
        self.connection.core.forget_echoes();
    }

    /// Sends a Close, with a code or without.
    pub(crate) fn close(&mut self, code: Option<u16>) {
        self.state.settle_accounts(&mut self.connection);
        let payload = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
        self.compose_frame(0x80 | opcode::CLOSE, &payload);
        self.closed_with = (!self.connection.core.has_close).then_some(code);
        self.connection.core.phase = Phase::Closing;
        self.may_be_ended = true;
        self.tell(|| format!("sends a Close of {code:?}"));
        self.write();
    }

    /// Ends its side of the stream, and reads on.
    pub(crate) fn half_close(&mut self) {
        self.state.settle_accounts(&mut self.connection);
        self.connection.core.phase = Phase::Closing;
        self.may_be_ended = true;
        self.transport.end();
        self.tell(|| "ends its side of the stream".to_owned());
    }

    /// Is gone, with a reset.
    pub(crate) fn reset(mut self) {
        self.state.settle_accounts(&mut self.connection);
        self.cut();
    }

    /// Is gone, as a process that ends: the stream does, without a Close.
    pub(crate) fn quit(mut self) {
        self.state.settle_accounts(&mut self.connection);
    }

    /// Reads, answers and writes until an instant, or until the connection ends.
    pub(crate) async fn attend(&mut self, until: Timestamp) {
        self.attend_until(until, |_| false).await;
    }

    /// The same, until something is so; whether it is.
    pub(crate) async fn attend_until(&mut self, until: Timestamp, is_done: impl Fn(&Self) -> bool) -> bool {
        let state = Rc::clone(&self.state);
        let mut over = std::pin::pin!(state.pulse.sleep_until(until));
        loop {
            if is_done(self) {
                return true;
            }
            if self.end.is_some() {
                // Whoever asks again and again keeps neither the others nor a signal from their turn.
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
                    state.settle_accounts(&mut self.connection);
                    return is_done(self);
                }
            }
        }
    }
}
