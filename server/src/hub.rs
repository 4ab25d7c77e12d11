//! The sessions of one shard, their subscriptions, and the fan-out of each push.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::announcer::Push;
use crate::config::{Config, ConfigError};
use crate::log::LogLine;
use crate::schedule;
use crate::session::{Context, Fate, Scratch, Session};
use crate::time::{Now, Timestamp};
use crate::timers::Timers;
use crate::wire::{ConnectionId, Wire};

/// The number of subscribers that one slice of a fan-out serves before commands and new connections get their turn.
///
/// A small write takes 6 µs on loopback, so 256 of them take a millisecond and a half.
pub const SLICE: usize = 256;

/// The number of slots that one slice visits at most, so that a hub full of unsubscribed clients is walked in slices,
/// too.
const SLICE_SLOTS: usize = 64 * SLICE;

/// Session deadlines are rounded up to a multiple of the grain. The grain is this part of the shortest configured
/// timeout, and at most [`LARGEST_GRAIN`], so that a drain ends in time even if all timeouts are long.
const GRAIN_DIVISOR: u32 = 64;

const LARGEST_GRAIN: Duration = Duration::from_millis(250);

/// The core of a server: bytes in, bytes out, time as an argument.
///
/// A hub does no I/O, starts no task and reads no clock. Its driver has these duties:
///
/// * Inputs are the methods `handle_*`. They take the current time, which never runs backwards, and the [`Wire`] to
///   answer on. Call [`Hub::handle_connect`] for each new connection, then [`Hub::handle_input`] with its bytes in
///   order, [`Hub::handle_writable`] when a blocked connection can accept more, and [`Hub::handle_end`] or
///   [`Hub::handle_reset`] at its end.
/// * After every input, [`Hub::poll_timeout`] returns the instant at which to call [`Hub::handle_timeout`]. An instant
///   in the past means: as soon as other inputs had their turn.
/// * Pushes come from the server's [`Announcer`](crate::Announcer): hand each to [`Hub::handle_push`].
///
/// The hub answers errors of clients on the wire. A [`ConnectionId`] that is not open is a bug of the driver, and
/// panics.
#[derive(Debug)]
pub struct Hub {
    config: Config,
    sessions: Vec<Option<Session>>,
    /// The data that the fan-out needs of each slot. It lies apart from the sessions, so that a walk reads 8 bytes a
    /// slot.
    subscriptions: Vec<Subscription>,
    free: Vec<u32>,
    timers: Timers,
    walks: VecDeque<Walk>,
    counters: Counters,
    jitter: u64,
    is_draining: bool,
    scratch: Scratch,
    batch: Batch,
}

/// The instant at which a slot's subscription took effect, in nanoseconds, shifted left by one bit. The lowest bit is
/// set if the session has an outbox.
#[derive(Clone, Copy, Debug)]
struct Subscription(u64);

impl Subscription {
    const NONE: Self = Self(u64::MAX);

    fn of(session: &Session) -> Self {
        match session.subscribed_since() {
            Timestamp::MAX => Self::NONE,
            since => Self(since.as_nanos() << 1 | u64::from(session.has_backlog())),
        }
    }

    fn is_older_than(self, due: Timestamp) -> bool {
        self.0 >> 1 <= due.as_nanos()
    }

    fn has_backlog(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A fan-out under way: the slots that existed when it began, from a starting point that rotates, once around.
#[derive(Debug)]
struct Walk {
    push: Arc<Push>,
    slots: usize,
    next: usize,
    left: usize,
    subscribers: u64,
}

/// The connections of one slice. The hub keeps the value to reuse its memory.
#[derive(Debug, Default)]
struct Batch {
    ready: Vec<ConnectionId>,
    taken: Vec<usize>,
    blocked: Vec<ConnectionId>,
}

/// The events of a hub since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accepted connections, including those whose handshake failed.
    pub connections: u64,
    /// Pushes given to a socket or an outbox, counted at the end of each fan-out.
    pub deliveries: u64,
    /// Pushes that this hub dropped because their fan-out would have started too late.
    pub late_pushes: u64,
    /// Completed fan-outs.
    pub pushes: u64,
}

/// The connections and the memory that a hub holds at the moment (G11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections whose id is in use.
    pub connections: usize,
    /// Subscribed connections.
    pub subscribed: usize,
    /// Bytes of partial requests, partial messages and outboxes.
    pub held: usize,
}

impl Hub {
    /// The memory of a hub per idle connection, by part, in bytes.
    pub const FOOTPRINT: [(&str, usize); 3] = [
        ("session", size_of::<Option<Session>>()),
        ("subscription", size_of::<Subscription>()),
        ("timer", Timers::EACH),
    ];

    /// A hub without connections. `seed` decides the jitter of its pings and nothing else.
    ///
    /// # Errors
    ///
    /// The configuration does not pass [`Config::validate`].
    pub fn new(config: Config, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            timers: Timers::new(grain(&config)),
            config,
            sessions: Vec::new(),
            subscriptions: Vec::new(),
            free: Vec::new(),
            walks: VecDeque::new(),
            counters: Counters::default(),
            jitter: seed,
            is_draining: false,
            scratch: Scratch::default(),
            batch: Batch::default(),
        })
    }

    /// The limits and times that this hub applies to its clients.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The events since the hub was built.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether no connection is left.
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.sessions.len()
    }

    /// Counts the connections and the memory of the hub. Takes time proportional to the number of connections.
    pub fn census(&self) -> Census {
        let sessions = self.sessions.iter().flatten();
        sessions.fold(Census::default(), |census, session| Census {
            connections: census.connections + 1,
            subscribed: census.subscribed + usize::from(session.subscribed_since() != Timestamp::MAX),
            held: census.held + session.held(),
        })
    }

    /// Adds an accepted connection and returns its id. If it is not admitted, its request is answered with 503: the
    /// server is full.
    pub fn handle_connect(&mut self, now: Now, is_admitted: bool) -> ConnectionId {
        let jitter = self.next_jitter();
        let session = Session::new(now, &self.config, is_admitted, jitter);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.subscriptions.push(Subscription::NONE);
            u32::try_from(self.sessions.len() - 1).expect("a process has fewer than 2^32 connections")
        });
        self.timers.arm(slot, session.poll_timeout(&self.config));
        self.sessions[slot as usize] = Some(session);
        self.counters.connections += 1;
        ConnectionId(slot)
    }

    /// The most bytes that a driver should read from a connection next, so that the hub refuses few of them.
    ///
    /// A reply is about as long as its message. The driver would have to keep input whose replies do not fit into half
    /// of the outbox.
    pub fn input_allowance(&self, from: ConnectionId) -> usize {
        let session = self.sessions[from.index()].as_ref();
        session.map_or(usize::MAX, |session| session.input_allowance(&self.config))
    }

    /// Handles input of a connection and returns the number of bytes consumed, counted from the front.
    ///
    /// If that is less than all bytes, the connection has a backlog of replies: the driver keeps the rest, reads no
    /// more, and offers the rest again after [`Wire::resume`].
    pub fn handle_input(
        &mut self,
        from: ConnectionId,
        bytes: &[u8],
        now: Now,
        wire: &mut impl Wire,
    ) -> usize {
        let mut taken = 0;
        self.with_session(from, now, wire, |session, cx| {
            let (count, fate) = session.handle_input(bytes, cx);
            taken = count;
            fate
        });
        taken
    }

    /// A blocked connection can accept more bytes.
    pub fn handle_writable(&mut self, connection: ConnectionId, now: Now, wire: &mut impl Wire) {
        self.with_session(connection, now, wire, Session::handle_writable);
    }

    /// A client has ended its side of the stream in good order.
    pub fn handle_end(&mut self, connection: ConnectionId, now: Now, wire: &mut impl Wire) {
        self.with_session(connection, now, wire, Session::handle_end);
    }

    /// A connection has failed: it can neither send nor receive.
    pub fn handle_reset(&mut self, connection: ConnectionId, now: Now, wire: &mut impl Wire) {
        self.with_session(connection, now, wire, |_, _| Fate::Over);
    }

    /// Queues the fan-out of a push to the clients that were subscribed at its due instant; [`Hub::handle_timeout`]
    /// does the work.
    ///
    /// If its walk would begin later than [`schedule::lateness_limit`], the hub counts and drops the push: this shard
    /// was stalled.
    pub fn handle_push(&mut self, push: Arc<Push>) {
        let slots = self.sessions.len();
        let next = starting_point(push.cycle(), slots);
        self.walks.push_back(Walk { push, slots, next, left: slots, subscribers: 0 });
    }

    /// The instant at which to call [`Hub::handle_timeout`] next; [`Timestamp::ZERO`] while a fan-out is under way,
    /// `None` if nothing is pending.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.walks.is_empty() { self.timers.next() } else { Some(Timestamp::ZERO) }
    }

    /// Does one slice of the work that is due: first the fan-out, then up to [`SLICE`] session deadlines, which ping
    /// clients or end connections.
    pub fn handle_timeout(&mut self, now: Now, wire: &mut impl Wire) {
        self.walk_slice(now, wire);
        for _ in 0..SLICE {
            let Some(slot) = self.timers.pop(now.at) else {
                return;
            };
            self.with_session(ConnectionId(slot), now, wire, Session::handle_timeout);
        }
    }

    /// The server shuts down: the hub finishes the queued fan-outs, then sends every client its Close behind the queued
    /// output (G14). The driver continues until [`Hub::is_empty`], which takes at most the close timeout and a grain.
    pub fn handle_drain(&mut self, now: Now, wire: &mut impl Wire) {
        while !self.walks.is_empty() {
            self.walk_slice(now, wire);
        }
        self.is_draining = true;
        for slot in 0..self.sessions.len() {
            if self.sessions[slot].is_some() {
                self.with_session(ConnectionId(slot as u32), now, wire, Session::handle_drain);
            }
        }
    }

    /// Serves up to [`SLICE`] subscribers of the oldest walk.
    fn walk_slice(&mut self, now: Now, wire: &mut impl Wire) {
        let Some(mut walk) = self.walks.pop_front() else {
            return;
        };
        let has_begun = walk.left < walk.slots;
        if !has_begun && now.at.since(walk.push.due()) > schedule::lateness_limit(self.config.period) {
            self.counters.late_pushes += 1;
            wire.log(LogLine::Skipped { cycles: 1 });
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.collect(&mut walk, &mut batch);
        self.deliver(&walk.push, &mut batch, now, wire);
        walk.subscribers += (batch.ready.len() + batch.blocked.len()) as u64;
        self.batch = batch;
        if walk.left > 0 {
            self.walks.push_front(walk);
            return;
        }
        self.counters.pushes += 1;
        self.counters.deliveries += walk.subscribers;
        wire.log(LogLine::Pushed { cycle: walk.push.cycle(), subscribers: walk.subscribers });
    }

    fn collect(&self, walk: &mut Walk, batch: &mut Batch) {
        batch.ready.clear();
        batch.blocked.clear();
        let due = walk.push.due();
        for _ in 0..walk.left.min(SLICE_SLOTS) {
            if batch.ready.len() + batch.blocked.len() == SLICE {
                return;
            }
            let slot = walk.next;
            walk.next = if slot + 1 == walk.slots { 0 } else { slot + 1 };
            walk.left -= 1;
            let subscription = self.subscriptions[slot];
            if subscription.is_older_than(due) {
                let list = if subscription.has_backlog() { &mut batch.blocked } else { &mut batch.ready };
                list.push(ConnectionId(slot as u32));
            }
        }
    }

    fn deliver(&mut self, push: &Push, batch: &mut Batch, now: Now, wire: &mut impl Wire) {
        let frame = push.frame();
        batch.taken.clear();
        batch.taken.resize(batch.ready.len(), 0);
        wire.send_all(&batch.ready, frame, &mut batch.taken);
        for (&connection, &taken) in batch.ready.iter().zip(&batch.taken) {
            if taken < frame.len() {
                self.with_session(connection, now, wire, |session, cx| session.queue_push(frame, taken, cx));
            }
        }
        for &connection in &batch.blocked {
            self.with_session(connection, now, wire, |session, cx| session.queue_push(frame, 0, cx));
        }
    }

    /// Lets a session act, then updates the hub's data about it.
    fn with_session<W: Wire>(
        &mut self,
        id: ConnectionId,
        now: Now,
        wire: &mut W,
        act: impl FnOnce(&mut Session, &mut Context<'_, W>) -> Fate,
    ) {
        let slot = id.index();
        let session = self.sessions[slot].as_mut().expect("the driver uses an id only until its close");
        let (config, scratch, is_draining) = (&self.config, &mut self.scratch, self.is_draining);
        // Empty, unless another session panicked half-way. This session must not send that session's bytes.
        scratch.output.clear();
        let mut cx = Context { id, now, config, wire, scratch, is_draining };
        if act(session, &mut cx) == Fate::Over {
            self.release(id, wire);
            return;
        }
        self.subscriptions[slot] = Subscription::of(session);
        self.timers.arm(id.0, session.poll_timeout(&self.config));
    }

    fn release(&mut self, id: ConnectionId, wire: &mut impl Wire) {
        if self.sessions[id.index()].take().is_some_and(|session| session.was_open()) {
            wire.log(LogLine::Disconnected);
        }
        self.subscriptions[id.index()] = Subscription::NONE;
        self.timers.disarm(id.0);
        self.free.push(id.0);
        wire.close(id);
    }

    /// The next value of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), cut to a byte.
    fn next_jitter(&mut self) -> u8 {
        self.jitter = self.jitter.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.jitter ^ self.jitter >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed >> 56) as u8
    }
}

/// The slot at which the walk of a cycle begins. It moves in golden-ratio steps, so that no client is always the last.
fn starting_point(cycle: u64, slots: usize) -> usize {
    let fraction = cycle.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((u128::from(fraction) * slots as u128) >> 64) as usize
}

/// The longest time from a client's last sign of life until the hub cuts it off.
pub fn dead_peer_bound(config: &Config) -> Duration {
    config.ping_interval * 2 + grain(config)
}

fn grain(config: &Config) -> Duration {
    let shortest = config.handshake_timeout.min(config.ping_interval).min(config.close_timeout);
    (shortest / GRAIN_DIVISOR).min(LARGEST_GRAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_the_first_byte_of_splitmix64() {
        // The generator's published values for this seed begin 6457827717110365317, 3203168211198807973, …
        let mut hub = Hub::new(Config::default(), 1_234_567).expect("the defaults are valid");
        let jitters = [(); 5].map(|()| hub.next_jitter());
        assert_eq!(jitters, [89, 44, 136, 63, 227]);
    }

    #[test]
    fn walks_begin_golden_ratio_steps_apart() {
        // The fractions of multiples of 0.6180339887…
        let starts = [0, 1, 2, 3, 1000].map(|cycle| starting_point(cycle, 1000));
        assert_eq!(starts, [0, 618, 236, 854, 33]);
    }

    #[test]
    fn a_dead_client_is_found_within_two_intervals_and_a_grain() {
        let config = Config { close_timeout: Duration::from_secs(8), ..Config::default() };
        let config = Config { handshake_timeout: Duration::from_secs(128), ..config };
        let config = Config { ping_interval: Duration::from_secs(100), ..config };
        // 8 s / 64 = 125 ms.
        assert_eq!(dead_peer_bound(&config), Duration::from_millis(200_125));
    }

    #[test]
    fn the_grain_is_at_most_250_ms_however_long_the_timeouts_are() {
        let long = Duration::from_secs(128);
        let config =
            Config { handshake_timeout: long, ping_interval: long, close_timeout: long, ..Config::default() };
        // 128 s / 64 = 2 s would be longer than a drain may take beyond the close timeout.
        assert_eq!(dead_peer_bound(&config), long * 2 + Duration::from_millis(250));
    }
}
