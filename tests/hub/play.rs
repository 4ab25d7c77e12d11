//! Plays a script on a real hub and on the model, and compares them.

use std::sync::Arc;

use carillon_server::{Announcer, ConnectionId, Hub, Now, Timestamp, WallTime, Zone};

use super::model::{Client, Meaning, Model, Phase};
use super::recorder::{Link, Recorder};
use super::script::{Op, Speech};
use super::settings::{MAX_MESSAGE, NOON, PERIOD, TICK, config};
use crate::support::frames::{self, BINARY, CLOSE, Heard, PING, PONG, REQUEST};

/// A hub, its clients, and the model of both.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) hub: Hub,
    pub(crate) model: Model,
    pub(crate) wire: Recorder,
    announcer: Announcer,
    last_cycle: u64,
    clients: Vec<Speaker>,
    /// Links that have room again. The hub learns of it only after the next operation.
    untold: Option<Vec<usize>>,
}

/// The sending side of a client.
#[derive(Debug)]
struct Speaker {
    id: ConnectionId,
    /// Bytes that were said and not sent yet.
    typed: Vec<u8>,
    /// Bytes that were sent and not accepted by the hub yet.
    refused: Vec<u8>,
    has_ended: bool,
}

impl Play {
    pub(crate) fn new() -> Self {
        let config = config();
        Self {
            announcer: Announcer::new(Timestamp::ZERO, config.period, Zone::UTC),
            hub: Hub::new(config, 42).expect("the configuration keeps the promises"),
            model: Model::default(),
            wire: Recorder::default(),
            last_cycle: 0,
            clients: Vec::new(),
            untold: None,
        }
    }

    /// A play in which the wire reports late that a connection can accept more. The model does not follow it.
    pub(crate) fn with_a_slow_wire() -> Self {
        Self { untold: Some(Vec::new()), ..Self::new() }
    }

    /// Plays the whole script.
    pub(crate) fn of(script: &[Op]) -> Self {
        let mut play = Self::new();
        play.perform(script);
        play
    }

    pub(crate) fn perform(&mut self, script: &[Op]) {
        for op in script {
            self.apply(op);
        }
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        let to_tell = self.untold.as_mut().map(std::mem::take).unwrap_or_default();
        let someone = |who: usize| self.connected().nth(who % self.connected().count().max(1));
        match op {
            Op::Advance { ticks } => self.advance(*ticks),
            Op::Connect { is_admitted } => self.connect(*is_admitted),
            Op::Cycle => self.advance(PERIOD - self.model.now % PERIOD),
            Op::Drain => self.drain(),
            Op::End { who } => someone(*who).into_iter().for_each(|who| self.end(who)),
            Op::Open => self.open(),
            Op::Oversleep { ticks } => self.model.oversleep(*ticks),
            Op::Release { who } => someone(*who).into_iter().for_each(|who| self.give_room(who, usize::MAX)),
            Op::Reset { who } => someone(*who).into_iter().for_each(|who| self.reset(who)),
            Op::Say { who, what, later } => {
                someone(*who).into_iter().for_each(|who| self.say(who, what, *later));
            }
            Op::Stall { who, takes } => {
                // A new socket has room for the response.
                let is_ready = |who: &usize| self.model.clients[*who].phase != Phase::Handshake;
                someone(*who).filter(is_ready).into_iter().for_each(|who| self.give_room(who, *takes));
            }
        }
        for who in to_tell {
            self.tell_of_room(who);
        }
        if !matches!(op, Op::Oversleep { .. }) {
            self.wake();
        }
    }

    /// The clients that have a connection.
    pub(crate) fn connected(&self) -> impl Iterator<Item = usize> {
        (0..self.clients.len()).filter(|who| !self.wire.links[*who].is_closed)
    }

    /// The number of a client's bytes that the hub has refused so far.
    pub(crate) fn refused(&self, who: usize) -> usize {
        self.clients[who].refused.len()
    }

    /// The output that a client has heard, from the response on.
    pub(crate) fn heard(&self, who: usize) -> &[Heard] {
        &self.model.clients[who].heard
    }

    /// The texts that a client has heard and that begin with this prefix.
    pub(crate) fn texts(&self, who: usize, prefix: &str) -> Vec<&str> {
        let texts = self.heard(who).iter().filter_map(|heard| match heard {
            Heard::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.filter(|text| text.starts_with(prefix)).collect()
    }

    /// Asserts that the hub agrees with the model.
    pub(crate) fn check(&self) {
        assert!(self.model.differences.is_empty(), "{:#?}", self.model.differences);
        for (who, (link, client)) in self.wire.links.iter().zip(&self.model.clients).enumerate() {
            assert_eq!(link.garbled, None, "client {who} got illegal output");
            assert_eq!(link.is_closed, client.phase == Phase::Gone, "whether {who} is gone: {client:?}");
            if !client.is_wild {
                check_link(who, link, client);
            }
        }
        let is_foretold = !self.model.clients.iter().any(|client| client.is_wild);
        let census = self.hub.census();
        assert_eq!(census.connections, self.connected().count());
        assert_eq!(self.hub.is_empty(), census.connections == 0);
        if is_foretold {
            assert_eq!(self.wire.lines, self.model.lines, "the log");
            let subscribed = |client: &&Client| client.subscribed_since.is_some();
            assert_eq!(census.subscribed, self.model.clients.iter().filter(subscribed).count());
            let deliveries: u64 = self.model.cycles.iter().map(|cycle| cycle.subscribers.len() as u64).sum();
            assert_eq!(self.hub.counters().deliveries, deliveries);
        }
    }

    /// Time passes, and the hub is woken at each of its timeouts.
    pub(crate) fn advance(&mut self, ticks: u64) {
        let end = self.model.now + ticks;
        loop {
            let wakes_at =
                [self.hub.poll_timeout(), self.announcer.poll_timeout()].into_iter().flatten().min();
            let Some(at) = wakes_at.map(ticks_until).filter(|at| *at <= end) else { break };
            self.model.now = self.model.now.max(at);
            self.wake();
        }
        self.model.now = end;
        self.wake();
    }

    fn now(&self) -> Now {
        let span = TICK * self.model.now as u32;
        Now { at: Timestamp::ZERO + span, wall: WallTime::from_unix_seconds(NOON).after(span) }
    }

    fn connect(&mut self, is_admitted: bool) {
        let id = self.hub.handle_connect(self.now(), is_admitted);
        self.wire.open(id);
        self.model.connect(is_admitted, self.untold.is_some());
        self.clients.push(Speaker { id, typed: Vec::new(), refused: Vec::new(), has_ended: false });
    }

    /// Connects and shakes hands.
    pub(crate) fn open(&mut self) {
        self.connect(true);
        self.say(self.clients.len() - 1, &Speech::Handshake, 0);
    }

    fn drain(&mut self) {
        self.announcer.stop();
        let now = self.now();
        self.hub.handle_drain(now, &mut self.wire);
        self.model.drain();
        self.settle();
    }

    /// The client ends its stream. Bytes that were sent arrive first; bytes that were only said are never sent.
    pub(crate) fn end(&mut self, who: usize) {
        if !std::mem::replace(&mut self.clients[who].has_ended, true) && self.clients[who].refused.is_empty()
        {
            self.arrive_end(who);
        }
    }

    fn arrive_end(&mut self, who: usize) {
        let now = self.now();
        self.hub.handle_end(self.clients[who].id, now, &mut self.wire);
        self.model.end(who);
        self.settle();
    }

    pub(crate) fn reset(&mut self, who: usize) {
        let now = self.now();
        self.hub.handle_reset(self.clients[who].id, now, &mut self.wire);
        self.model.forget(who);
        self.settle();
    }

    pub(crate) fn say(&mut self, who: usize, what: &Speech, later: usize) {
        let client = &mut self.clients[who];
        if client.has_ended {
            return;
        }
        let (parts, is_whole) = spell(what);
        let is_request = client.typed.is_empty() && self.model.clients[who].phase == Phase::Handshake;
        for (bytes, meaning) in parts {
            self.model.say(who, bytes.len(), meaning);
            client.typed.extend(bytes);
        }
        // A message that ends a connection is not cut: it is not promised how much of it the hub needs.
        let later = if is_whole && !is_request { 0 } else { later.min(client.typed.len()) };
        let rest = client.typed.split_off(client.typed.len() - later);
        let bytes = std::mem::replace(&mut client.typed, rest);
        if client.refused.is_empty() {
            self.arrive(who, &bytes);
        } else {
            client.refused.extend(bytes);
        }
    }

    fn arrive(&mut self, who: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let now = self.now();
        let taken = self.hub.handle_input(self.clients[who].id, bytes, now, &mut self.wire);
        let foretold = self.model.arrive(who, bytes.len());
        if foretold.is_some_and(|foretold| foretold != taken) {
            self.model.differences.push(format!("of {who} the hub took {taken} bytes and not {foretold:?}"));
        }
        self.clients[who].refused = bytes[taken..].to_vec();
        self.settle();
    }

    pub(crate) fn give_room(&mut self, who: usize, room: usize) {
        let link = &mut self.wire.links[who];
        link.room = room;
        self.model.widen(who, link.taken.len().saturating_add(room));
        match &mut self.untold {
            Some(untold) => untold.push(who),
            None => self.tell_of_room(who),
        }
    }

    fn tell_of_room(&mut self, who: usize) {
        let (now, link) = (self.now(), &mut self.wire.links[who]);
        if link.room > 0 && !link.is_closed && std::mem::take(&mut link.is_blocked) {
            self.hub.handle_writable(self.clients[who].id, now, &mut self.wire);
        }
        self.settle();
    }

    /// Lets the hub do its due work.
    fn wake(&mut self) {
        self.wire.pinged.clear();
        self.wire.closed.clear();
        self.announce();
        let mut times = 0;
        while self.wake_once() {
            times += 1;
            assert!(times < 1000, "the hub asks to be woken again and again, and does nothing");
        }
        self.read();
        self.model.wake(&self.wire.pinged, &self.wire.closed);
        self.settle();
    }

    /// Gives the hub the push of the due cycle, if there is one.
    pub(crate) fn announce(&mut self) {
        self.announcer.handle_timeout(self.now());
        for push in self.announcer.pushes_after(self.last_cycle) {
            self.last_cycle = push.cycle();
            self.hub.handle_push(Arc::clone(push));
        }
    }

    /// Wakes the hub if its timeout has come.
    pub(crate) fn wake_once(&mut self) -> bool {
        let now = self.now();
        let is_due = self.hub.poll_timeout().is_some_and(|timeout| timeout <= now.at);
        if is_due {
            self.hub.handle_timeout(now, &mut self.wire);
        }
        is_due
    }

    /// Lets the clients read, and fulfils the wire's duties to the hub.
    pub(crate) fn settle(&mut self) {
        self.read();
        self.model.conclude();
        for who in 0..self.clients.len() {
            if self.model.clients[who].is_wild && self.wire.links[who].is_closed {
                self.model.forget(who);
            }
        }
        let mut resumed = std::mem::take(&mut self.wire.resumed);
        let mut foretold = std::mem::take(&mut self.model.resumed);
        // A drain goes by slot, and slots are reused.
        resumed.sort_unstable();
        foretold.sort_unstable();
        let is_tame = |who: &&usize| !self.model.clients[**who].is_wild;
        if !resumed.iter().filter(is_tame).eq(foretold.iter().filter(is_tame)) {
            self.model.differences.push(format!("resumed {resumed:?} and not {foretold:?}"));
        }
        for who in resumed {
            let refused = std::mem::take(&mut self.clients[who].refused);
            if !self.wire.links[who].is_closed {
                self.arrive(who, &refused);
            }
            if self.clients[who].has_ended
                && self.clients[who].refused.is_empty()
                && !self.wire.links[who].is_closed
            {
                self.arrive_end(who);
            }
        }
    }

    fn read(&mut self) {
        for (link, client) in self.wire.links.iter_mut().zip(&mut self.model.clients) {
            while link.garbled.is_none() && link.read < link.taken.len() {
                let is_open = client.heard.first() == Some(&Heard::Response(101));
                let is_over = matches!(client.heard.last(), Some(Heard::Close(_) | Heard::Response(400..)));
                match frames::listen(&link.taken[link.read..], is_open) {
                    _ if is_over => link.garbled = Some("something behind the end".to_owned()),
                    Ok(Some((heard, length))) => {
                        client.heard.push(heard);
                        link.read += length;
                    }
                    Ok(None) => break,
                    Err(error) => link.garbled = Some(error),
                }
            }
        }
    }
}

/// The hub's answers to a client that sends these pieces, over a link that accepts all bytes.
pub(crate) fn answers_to(pieces: &[&[u8]]) -> Vec<u8> {
    let mut play = Play::new();
    play.connect(true);
    for piece in pieces {
        let now = play.now();
        let taken = play.hub.handle_input(play.clients[0].id, piece, now, &mut play.wire);
        assert_eq!(taken, piece.len(), "a hub without a backlog accepts all input");
    }
    play.wire.links.swap_remove(0).taken
}

/// What a client sends for it.
pub(crate) fn bytes_of(what: &Speech) -> Vec<u8> {
    spell(what).0.into_iter().flat_map(|(bytes, _)| bytes).collect()
}

fn check_link(who: usize, link: &Link, client: &Client) {
    let owed: Vec<&Heard> = client.owed.iter().map(|(heard, _)| heard).collect();
    let heard: Vec<&Heard> = client.heard.iter().collect();
    assert!(owed.starts_with(&heard), "client {who} heard {heard:?} and is owed {owed:?}");
    let is_ending = client.owed.last().is_some_and(|(_, length)| *length == 0);
    if !is_ending {
        let due = client.owed_bytes().min(client.capacity);
        assert_eq!(link.taken.len(), due, "bytes on the way to {who}: {client:?}");
    } else if client.phase != Phase::Gone && link.room > 0 {
        assert_eq!(heard, owed, "client {who} reads, and has not heard everything");
    }
    let is_finished = client.phase == Phase::Closing && client.has_heard_all();
    assert!(client.phase == Phase::Gone || link.is_shut == is_finished, "the end of {who}: {client:?}");
}

/// The messages that a client sends for `what`, and whether they must be sent in one piece.
fn spell(what: &Speech) -> (Vec<(Vec<u8>, Meaning)>, bool) {
    let payload = |length: usize| -> Vec<u8> { (0..length).map(|index| index as u8).collect() };
    let part = match what {
        Speech::Binary { length } => (frames::frame(BINARY, &payload(*length)), Meaning::Nothing),
        Speech::Close(None) => (frames::frame(CLOSE, b""), Meaning::End(1000)),
        Speech::Close(Some(code)) => (frames::close(*code), Meaning::End(*code)),
        Speech::Handshake => return (vec![(REQUEST.to_vec(), Meaning::Handshake)], true),
        Speech::Offence(number) => {
            let offences = frames::offences(MAX_MESSAGE);
            let (_, bytes, code) = offences[number % offences.len()].clone();
            return (vec![(bytes, Meaning::End(code))], true);
        }
        Speech::Ping { length } => (frames::frame(PING, &payload(*length)), Meaning::Ping(payload(*length))),
        Speech::Pong => (frames::frame(PONG, b"unasked"), Meaning::Nothing),
        Speech::Raw(bytes) => (bytes.0.clone(), Meaning::Unknown),
        Speech::Split { text, at } => {
            let bytes = frames::split_text(&text.0, (*at).min(text.0.len()), b"between");
            // The last fragment has two bytes of header, or four, and four of mask.
            let rest = text.0.len() - (*at).min(text.0.len());
            let last = rest + if rest > 125 { 8 } else { 6 };
            let (before, last) = bytes.split_at(bytes.len() - last);
            let ping = (before.to_vec(), Meaning::Ping(b"between".to_vec()));
            return (vec![ping, (last.to_vec(), Meaning::Text(text.0.clone()))], false);
        }
        Speech::Subscribe => (frames::text("subscribe"), Meaning::Text("subscribe".to_owned())),
        Speech::Text(text) => (frames::text(&text.0), Meaning::Text(text.0.clone())),
        Speech::Unsubscribe => (frames::text("unsubscribe"), Meaning::Text("unsubscribe".to_owned())),
    };
    (vec![part], false)
}

fn ticks_until(at: Timestamp) -> u64 {
    at.as_nanos().div_ceil(TICK.as_nanos() as u64)
}
