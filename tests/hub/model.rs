//! A simple hub: a list of connections, the messages of each, and the output that each must get.

use std::collections::VecDeque;
use std::time::Duration;

use carillon_server::LogLine;
use chrono::DateTime;

use super::settings::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, NOON, OUTBOX_LIMIT, PERIOD, PING_INTERVAL, TICK};
use crate::support::frames::Heard;

/// The length of the 101 response in bytes. It matters, as the response can wait in an outbox with pushes behind it.
const ACCEPTED: usize = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    .len();

/// The model of a hub.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) clients: Vec<Client>,
    /// The delivered cycles with their subscribers.
    pub(crate) cycles: Vec<Cycle>,
    /// The log lines about the clients' actions.
    pub(crate) lines: Vec<String>,
    /// The clients whose input may be offered again.
    pub(crate) resumed: Vec<usize>,
    /// The deviations of the hub from the model.
    pub(crate) differences: Vec<String>,
    last_cycle: u64,
    is_draining: bool,
    /// The tick at which the hub was last woken too late.
    overslept: Option<u64>,
}

/// A delivered cycle.
#[derive(Debug)]
pub(crate) struct Cycle {
    pub(crate) text: String,
    pub(crate) subscribers: Vec<usize>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) phase: Phase,
    /// The model does not predict this client, for example because it sent bytes without a meaning.
    pub(crate) is_wild: bool,
    pub(crate) subscribed_since: Option<u64>,
    /// The output that the server must send to the client, in order, each with its length on the wire.
    pub(crate) owed: Vec<(Heard, usize)>,
    /// The output that the client has heard so far.
    pub(crate) heard: Vec<Heard>,
    /// The total number of bytes that the link accepts.
    pub(crate) capacity: usize,
    /// Bytes of the first message that is not complete.
    pub(crate) partial: usize,
    pub(crate) is_refused: bool,
    pub(crate) was_open: bool,
    said: VecDeque<(usize, Meaning)>,
    is_admitted: bool,
    is_pinged: bool,
    has_ended: bool,
    last_heard: u64,
    deadline: u64,
    /// How often the deadline was postponed.
    looks: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshake,
    Open,
    Closing,
    Gone,
}

/// The meaning of a message on an open connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A message that ends the connection with this code.
    End(u16),
    Handshake,
    /// A message that gets no answer.
    Nothing,
    Ping(Vec<u8>),
    Text(String),
    Unknown,
}

impl Model {
    pub(crate) fn connect(&mut self, is_admitted: bool, is_wild: bool) {
        self.clients.push(Client {
            phase: Phase::Handshake,
            is_wild,
            subscribed_since: None,
            owed: Vec::new(),
            heard: Vec::new(),
            capacity: usize::MAX,
            partial: 0,
            is_refused: false,
            was_open: false,
            said: VecDeque::new(),
            is_admitted,
            is_pinged: false,
            has_ended: false,
            last_heard: self.now,
            deadline: self.now + HANDSHAKE_TIMEOUT,
            looks: 0,
        });
    }

    /// A client says a message that has not arrived yet.
    pub(crate) fn say(&mut self, who: usize, length: usize, meaning: Meaning) {
        self.clients[who].said.push_back((length, meaning));
    }

    /// Bytes arrive. Returns the number of bytes that the hub accepts, if the model can predict it.
    pub(crate) fn arrive(&mut self, who: usize, offered: usize) -> Option<usize> {
        let client = &mut self.clients[who];
        client.last_heard = self.now;
        client.is_pinged = false;
        let mut taken = 0;
        while taken < offered {
            let client = &mut self.clients[who];
            if client.is_wild {
                return None;
            }
            if matches!(client.phase, Phase::Closing | Phase::Gone) {
                return Some(offered);
            }
            if client.backlog() > OUTBOX_LIMIT / 2 {
                client.is_refused = true;
                return Some(taken);
            }
            let (length, meaning) =
                client.said.front().cloned().expect("a client says a message before it arrives");
            if meaning == Meaning::Unknown {
                client.is_wild = true;
            } else if client.phase == Phase::Handshake && meaning != Meaning::Handshake {
                // A frame does not begin as a request does.
                self.refuse(who, 400);
            } else if offered - taken < length - client.partial {
                client.partial += offered - taken;
                taken = offered;
            } else {
                taken += length - client.partial;
                client.partial = 0;
                client.said.pop_front();
                self.serve(who, meaning);
            }
        }
        Some(taken)
    }

    /// Sets the total number of bytes that the link accepts.
    pub(crate) fn widen(&mut self, who: usize, capacity: usize) {
        let (now, client) = (self.now, &mut self.clients[who]);
        let before = client.backlog();
        client.capacity = capacity;
        if client.backlog() < before {
            client.last_heard = now;
            client.is_pinged = false;
        }
        if client.is_refused && client.backlog() <= OUTBOX_LIMIT / 2 {
            client.is_refused = false;
            self.resumed.push(who);
        }
    }

    pub(crate) fn end(&mut self, who: usize) {
        match self.clients[who].phase {
            Phase::Handshake => self.forget(who),
            Phase::Open => self.enter_closing(who),
            Phase::Closing | Phase::Gone => {}
        }
        self.clients[who].has_ended = true;
    }

    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
        for who in 0..self.clients.len() {
            match self.clients[who].phase {
                Phase::Handshake => self.refuse(who, 503),
                Phase::Open => self.close(who, 1001),
                Phase::Closing | Phase::Gone => {}
            }
        }
    }

    /// Time passes, and the hub is not woken.
    pub(crate) fn oversleep(&mut self, ticks: u64) {
        self.now += ticks;
        self.overslept = Some(self.now);
    }

    /// The hub was woken, has pinged some clients and cut off others.
    pub(crate) fn wake(&mut self, pinged: &[usize], closed: &[usize]) {
        let cycle = self.now / PERIOD;
        if cycle > self.last_cycle && !self.is_draining {
            self.last_cycle = cycle;
            let late = self.now - cycle * PERIOD;
            if 3 * late <= PERIOD {
                self.push(cycle * PERIOD);
            }
        }
        for who in pinged {
            let client = &mut self.clients[*who];
            if client.is_wild {
                continue;
            }
            let silence = self.now - client.last_heard;
            if client.is_pinged || client.backlog() > 0 || 8 * silence < 7 * PING_INTERVAL {
                self.differences.push(format!("a ping after {silence} ticks: {client:?}"));
            }
            client.is_pinged = true;
            client.owe(Heard::Ping, 2);
        }
        for who in closed {
            self.cut_off(*who);
        }
        for who in 0..self.clients.len() {
            self.time_out(who);
        }
    }

    /// The clients that ended their stream and got all output are gone.
    pub(crate) fn conclude(&mut self) {
        for who in 0..self.clients.len() {
            let client = &self.clients[who];
            let is_over = client.phase == Phase::Closing && client.has_ended && client.has_heard_all();
            if is_over && !client.is_wild {
                self.forget(who);
            }
        }
    }

    pub(crate) fn forget(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if client.was_open && client.phase != Phase::Gone {
            self.lines.push(format!("{:?}", LogLine::Disconnected));
        }
        let client = &mut self.clients[who];
        client.phase = Phase::Gone;
        client.subscribed_since = None;
    }

    fn serve(&mut self, who: usize, meaning: Meaning) {
        let client = &mut self.clients[who];
        match meaning {
            Meaning::Handshake if client.phase == Phase::Open => self.close(who, 1002),
            Meaning::Handshake if self.is_draining || !client.is_admitted => self.refuse(who, 503),
            Meaning::Handshake => {
                client.phase = Phase::Open;
                client.was_open = true;
                client.subscribed_since = Some(self.now);
                client.owe(Heard::Response(101), ACCEPTED);
                self.lines.push(format!("{:?}", LogLine::Connected));
            }
            Meaning::End(code) => self.close(who, code),
            Meaning::Ping(payload) => {
                let length = 2 + payload.len();
                client.owe(Heard::Pong(payload), length);
            }
            Meaning::Text(text) => self.serve_text(who, &text),
            Meaning::Nothing | Meaning::Unknown => {}
        }
    }

    fn serve_text(&mut self, who: usize, text: &str) {
        self.lines.push(format!("{:?}", LogLine::Received { text }));
        let client = &mut self.clients[who];
        match text {
            "subscribe" => {
                client.subscribed_since.get_or_insert(self.now);
                self.lines.push(format!("{:?}", LogLine::Subscribed));
            }
            "unsubscribe" => {
                client.subscribed_since = None;
                self.lines.push(format!("{:?}", LogLine::Unsubscribed));
            }
            _ => client.owe_text(format!("Server received: {text}")),
        }
    }

    fn push(&mut self, due: u64) {
        let text = push_text(due);
        let is_due_to =
            |client: &Client| !client.is_wild && client.subscribed_since.is_some_and(|since| since <= due);
        let subscribers: Vec<usize> =
            (0..self.clients.len()).filter(|who| is_due_to(&self.clients[*who])).collect();
        for who in &subscribers {
            let client = &mut self.clients[*who];
            client.owe_text(text.clone());
            if client.backlog() > OUTBOX_LIMIT {
                client.discard_unbegun();
                self.close(*who, 1013);
            }
        }
        self.cycles.push(Cycle { text, subscribers });
    }

    /// The hub has cut off an open client, which must have been silent for too long.
    fn cut_off(&mut self, who: usize) {
        let client = &self.clients[who];
        if client.phase == Phase::Open && !client.is_wild {
            let silence = self.now - client.last_heard;
            if silence < 2 * PING_INTERVAL {
                self.differences.push(format!("cut off after {silence} ticks: {client:?}"));
            }
            self.forget(who);
        }
    }

    fn time_out(&mut self, who: usize) {
        let (now, client) = (self.now, &mut self.clients[who]);
        let patience = match client.phase {
            _ if client.is_wild => return,
            Phase::Open => return self.doubt(who),
            Phase::Handshake => HANDSHAKE_TIMEOUT,
            Phase::Closing => CLOSE_TIMEOUT,
            Phase::Gone => return,
        };
        if !client.is_given_up(now, patience) {
            return;
        }
        match client.phase {
            Phase::Handshake => self.refuse(who, 408),
            _ => self.forget(who),
        }
    }

    /// Records a deviation if the hub should have pinged an open client or cut it off.
    fn doubt(&mut self, who: usize) {
        let client = &self.clients[who];
        let silence = self.now - client.last_heard;
        if silence >= PING_INTERVAL && client.backlog() == 0 && !client.is_pinged {
            self.differences.push(format!("no ping after {silence} ticks: {client:?}"));
        }
        // A ping is early by up to an eighth, and the time to answer it is longer by as much; a tick is for rounding.
        let second_chance = self.overslept.map_or(0, |at| at + PING_INTERVAL + PING_INTERVAL / 8);
        if self.now > second_chance.max(client.last_heard + 2 * PING_INTERVAL) + 1 {
            self.differences.push(format!("kept after {silence} ticks: {client:?}"));
        }
    }

    fn refuse(&mut self, who: usize, status: u16) {
        self.clients[who].owe(Heard::Response(status), 0);
        self.enter_closing(who);
    }

    fn close(&mut self, who: usize, code: u16) {
        self.clients[who].owe(Heard::Close(code), 0);
        self.enter_closing(who);
    }

    fn enter_closing(&mut self, who: usize) {
        let client = &mut self.clients[who];
        client.phase = Phase::Closing;
        client.deadline = self.now + CLOSE_TIMEOUT;
        client.looks = 0;
        client.subscribed_since = None;
        client.partial = 0;
        if std::mem::take(&mut client.is_refused) {
            self.resumed.push(who);
        }
    }
}

impl Client {
    /// Whether the client's timeout is over. The hub checks the client a 16th of the timeout before its end, and again
    /// at least a 32nd later. A hub that is late checks once more. If it is late by more than an eighth of the
    /// timeout, the timeout starts again. The number of checks is limited.
    fn is_given_up(&mut self, now: u64, patience: u64) -> bool {
        let (look, late) = (patience / 32, now.saturating_sub(self.deadline));
        let due = if self.looks == 0 { self.deadline - 2 * look } else { self.deadline };
        if now < due || self.looks == 4 || self.looks > 0 && late <= look {
            return now >= due;
        }
        let has_all_again = late > patience / 8 && self.phase == Phase::Handshake;
        self.looks += 1;
        self.deadline = self.deadline.max(now + if has_all_again { patience } else { look });
        false
    }

    /// The bytes that the link has not accepted, as far as they can be counted: the length of a Close is not known.
    pub(crate) fn backlog(&self) -> usize {
        self.owed_bytes().saturating_sub(self.capacity)
    }

    pub(crate) fn owed_bytes(&self) -> usize {
        self.owed.iter().map(|(_, length)| length).sum()
    }

    pub(crate) fn has_heard_all(&self) -> bool {
        self.heard.len() == self.owed.len()
    }

    fn owe(&mut self, heard: Heard, length: usize) {
        self.owed.push((heard, length));
    }

    fn owe_text(&mut self, text: String) {
        // Two bytes of header, and two more for the length of a longer text.
        let length = text.len() + if text.len() > 125 { 4 } else { 2 };
        self.owe(Heard::Text(text), length);
    }

    /// Removes the frames of which the link has accepted no byte, but keeps the response.
    fn discard_unbegun(&mut self) {
        while let [_, .., (_, length)] = self.owed.as_slice()
            && self.owed_bytes() - length >= self.capacity
        {
            self.owed.pop();
        }
    }
}

/// The text of the cycle that is due at this tick.
fn push_text(due: u64) -> String {
    let seconds = Duration::as_secs(&(TICK * due as u32)) as i64;
    let instant = DateTime::from_timestamp(NOON + seconds, 0).expect("chrono knows the year 2026");
    format!("Server push message at {}", instant.format("%Y-%m-%d %H:%M:%S"))
}
