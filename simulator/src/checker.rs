//! Holds what clients observe against the model, frame by frame, and keeps the score.

use std::time::Duration;

use carillon_server::Timestamp;
use hdrhistogram::Histogram;

use crate::guarantee::Guarantee;
use crate::link::LinkId;
use crate::model::{Grid, State, Windows};
use crate::peer::Peer;
use crate::text::Text;

/// Violations that are kept with their story; all are counted.
const KEPT: usize = 64;

/// The longest latency that is told apart from longer ones.
const HOUR_IN_MICROS: u64 = 3_600_000_000;

/// How a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Something followed a Close.
    AfterClose,
    /// The server ended a connection without a cause that the model knows.
    Dropped,
    /// A second push of one cycle.
    Duplicated,
    /// Bytes that no server may send.
    Garbled,
    /// The server kept what should be gone.
    Leaked,
    /// It came, but not in time.
    Late,
    /// It never came.
    Lost,
    /// It came before something that it should follow.
    OutOfOrder,
    /// It should not have come at all.
    Unexpected,
    /// A Close with another status code than the one that is due.
    WrongClose,
    /// A reply with another text.
    WrongEcho,
    /// A log line that does not tell what happened.
    WrongLog,
    /// A push with another text.
    WrongText,
}

impl Fault {
    /// The word for it in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfterClose => "after close",
            Self::Dropped => "dropped",
            Self::Duplicated => "duplicated",
            Self::Garbled => "garbled",
            Self::Leaked => "leaked",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::OutOfOrder => "out of order",
            Self::Unexpected => "unexpected",
            Self::WrongClose => "wrong close",
            Self::WrongEcho => "wrong echo",
            Self::WrongLog => "wrong log",
            Self::WrongText => "wrong text",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub guarantee: Guarantee,
    /// In which way.
    pub fault: Fault,
    /// When it came to light.
    pub at: Timestamp,
    /// The client that it happened to.
    pub client: u32,
    /// What was seen, and what was due, in one sentence.
    pub detail: String,
}

/// How often a promise was put to the test, and how often it broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Times that its premise held and a wrong server would have been convicted.
    pub exercised: u64,
    /// Times that it was broken.
    pub violations: u64,
}

/// Something that happened around a due instant, while its outcome was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Race {
    /// A client left.
    Close,
    /// A client arrived.
    Connect,
    /// A `subscribe` was in flight.
    Subscribe,
    /// An `unsubscribe` was in flight.
    Unsubscribe,
}

impl Race {
    /// All of them, in the order of [`Score::races`].
    pub const ALL: [Self; 4] = [Self::Close, Self::Connect, Self::Subscribe, Self::Unsubscribe];

    /// The word for it in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

/// The score of a run so far.
#[derive(Clone, Debug)]
pub struct Score {
    /// By [`Guarantee::index`].
    pub tallies: [Tally; 15],
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// Due instants that fell between the start of a change and its end, by [`Race::ALL`].
    pub races: [u64; 4],
    /// The first violations; more are only counted.
    pub violations: Vec<Violation>,
    /// From the due instant to the arrival of the push, in microseconds.
    pub latency: Histogram<u64>,
}

/// The time limits that a server is held to, beyond what the links take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the due instant until the push was handed to the link.
    pub push: Duration,
    /// From a message's arrival until its answer was handed to the link.
    pub reply: Duration,
    /// From the end of a connection until the server has dropped it, beyond its close timeout.
    pub release: Duration,
}

/// The judge of one run.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) score: Score,
    pub(crate) grid: Grid,
    bounds: Bounds,
    longest_way: Duration,
    /// The newest cycle of which a push was seen, and the earliest instant at which one was sent.
    newest_cycle: u64,
    first_sent: Timestamp,
    drained_at: Timestamp,
    scratch: String,
}

/// Where and when a frame was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) at: Timestamp,
    /// When the server handed it to the link.
    pub(crate) sent_at: Timestamp,
    /// Where it begins in the server's stream.
    pub(crate) offset: u64,
}

impl Checker {
    pub(crate) fn new(grid: Grid, bounds: Bounds, longest_way: Duration) -> Self {
        let latency = Histogram::new_with_bounds(1, HOUR_IN_MICROS, 3).expect("valid bounds and precision");
        let score = Score {
            tallies: Default::default(),
            deliveries: 0,
            races: [0; 4],
            violations: Vec::new(),
            latency,
        };
        Self {
            score,
            grid,
            bounds,
            longest_way,
            newest_cycle: 0,
            first_sent: Timestamp::ZERO,
            drained_at: Timestamp::MAX,
            scratch: String::new(),
        }
    }

    /// When the deliveries of a cycle are complete.
    pub(crate) fn audit_at(&self, cycle: u64) -> Timestamp {
        self.grid.due(cycle) + self.bounds.push + self.longest_way
    }

    /// When a server must have dropped a connection whose end reaches it now, given the time it takes to close.
    pub(crate) fn reap_at(&self, now: Timestamp, closing: Duration) -> Timestamp {
        now + self.longest_way + closing + self.bounds.release
    }

    pub(crate) fn on_drain(&mut self, now: Timestamp) {
        self.drained_at = now;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drained_at != Timestamp::MAX
    }

    pub(crate) fn exercise(&mut self, guarantee: Guarantee) {
        self.score.tallies[guarantee.index()].exercised += 1;
    }

    pub(crate) fn violate(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        client: u32,
        detail: impl FnOnce() -> String,
    ) {
        self.score.tallies[guarantee.index()].violations += 1;
        if self.score.violations.len() < KEPT {
            self.score.violations.push(Violation { guarantee, fault, at, client, detail: detail() });
        }
    }

    /// Counts a due instant that fell between the start and the end of a change.
    pub(crate) fn on_change(&mut self, race: Race, started: Timestamp, ended: Timestamp) {
        if self.grid.newest(ended) > self.grid.newest(started) {
            self.score.races[race as usize] += 1;
        }
    }

    /// A push arrived; `None` for the text says that the frame was compared with the one that is due, and was equal.
    pub(crate) fn on_push(&mut self, peer: &mut Peer, text: Option<&[u8]>, seen: Sighting) {
        let cycle = self.grid.newest(seen.sent_at);
        let due = self.grid.due(cycle);
        let client = peer.client;
        self.score.deliveries += 1;
        self.score.latency.saturating_record(seen.at.since(due).as_micros() as u64);
        if seen.offset >= peer.windows.quiet_from {
            self.violate(Guarantee::G2, Fault::Unexpected, seen.at, client, || {
                "a push behind an unsubscribe that had taken effect".to_owned()
            });
        }
        if cycle == 0 {
            self.violate(Guarantee::G7, Fault::Unexpected, seen.at, client, || {
                format!("a push at {}, before the first cycle is due", seen.sent_at)
            });
            return;
        }
        if peer.windows.last_cycle >= cycle as u32 {
            self.violate(Guarantee::G4, Fault::Duplicated, seen.at, client, || {
                format!("a second push of cycle {cycle}")
            });
        }
        if due >= self.drained_at {
            self.violate(Guarantee::G14, Fault::Unexpected, seen.at, client, || {
                format!("cycle {cycle} fired after the shutdown began")
            });
        }
        peer.windows.last_cycle = cycle as u32;
        self.check_punctuality(client, cycle, seen);
        if let Some(text) = text {
            self.check_text(client, cycle, text, seen);
        } else {
            self.exercise(Guarantee::G6);
        }
    }

    /// A push is late when it was handed to the link too long after its due instant: everybody's, then the cycle was off
    /// the grid; only this one, then somebody was waited for.
    fn check_punctuality(&mut self, client: u32, cycle: u64, seen: Sighting) {
        if cycle > self.newest_cycle {
            self.newest_cycle = cycle;
            self.first_sent = seen.sent_at;
            self.exercise(Guarantee::G7);
        }
        let late = seen.sent_at.since(self.grid.due(cycle));
        if late > self.bounds.push {
            let was_on_time = self.first_sent.since(self.grid.due(cycle)) <= self.bounds.push;
            let guarantee = if was_on_time { Guarantee::G10 } else { Guarantee::G7 };
            self.violate(guarantee, Fault::Late, seen.at, client, || {
                format!("the push of cycle {cycle} left the server {late:?} after it was due")
            });
        }
    }

    fn check_text(&mut self, client: u32, cycle: u64, text: &[u8], seen: Sighting) {
        if text == &self.grid.frame(cycle)[2..] {
            self.exercise(Guarantee::G6);
            return;
        }
        let expected = String::from_utf8_lossy(&self.grid.frame(cycle)[2..]).into_owned();
        self.violate(Guarantee::G6, Fault::WrongText, seen.at, client, || {
            format!("cycle {cycle} says {:?}; due was {expected:?}", String::from_utf8_lossy(text))
        });
    }

    /// A reply arrived.
    pub(crate) fn on_echo(&mut self, peer: &mut Peer, text: &[u8], seen: Sighting) {
        let client = peer.client;
        let mut scratch = std::mem::take(&mut self.scratch);
        match peer.echoes.front() {
            Some(expected) if expected.is(text, &mut scratch) => {
                peer.echoes.pop();
                peer.waiting_since = seen.at;
                self.exercise(Guarantee::G5);
                self.exercise(Guarantee::G8);
                match expected {
                    // It follows a command in the same write: had that been answered, the answer would have come first.
                    Text::Fence(_) => self.exercise(Guarantee::G9),
                    Text::Heartbeat => self.exercise(Guarantee::G13),
                    _ => {}
                }
            }
            _ => self.on_other_echo(peer, client, text, seen, &mut scratch),
        }
        self.scratch = scratch;
    }

    fn on_other_echo(
        &mut self,
        peer: &mut Peer,
        client: u32,
        text: &[u8],
        seen: Sighting,
        scratch: &mut String,
    ) {
        let shown = String::from_utf8_lossy(text).into_owned();
        let is_command = [Text::Subscribe, Text::Unsubscribe].iter().any(|command| command.is(text, scratch));
        if is_command {
            self.violate(Guarantee::G9, Fault::Unexpected, seen.at, client, || {
                format!("the command {shown:?} was answered")
            });
        } else if peer.echoes.has_behind_front(|later| later.is(text, scratch)) {
            self.violate(Guarantee::G5, Fault::OutOfOrder, seen.at, client, || {
                format!("the reply to {shown:?} came before the one to {:?}", peer.echoes.front())
            });
            peer.echoes.clear();
        } else if let Some(expected) = peer.echoes.pop() {
            self.violate(Guarantee::G8, Fault::WrongEcho, seen.at, client, || {
                format!("a reply to {shown:?}; due was {expected:?}")
            });
        } else {
            self.violate(Guarantee::G8, Fault::Unexpected, seen.at, client, || {
                format!("a reply to {shown:?}, which nobody had sent or which was answered before")
            });
        }
    }

    /// The deliveries of `cycle` are complete: who is owed something?
    pub(crate) fn audit(&mut self, cycle: u64, peers: &mut [Peer], now: Timestamp) {
        let due = self.grid.due(cycle);
        if due >= self.drained_at {
            return;
        }
        let mut untouched = Tally::default();
        let mut lost = Vec::new();
        let mut has_dead = false;
        for (index, peer) in peers.iter_mut().enumerate() {
            has_dead |= peer.has_vanished();
            if !peer.is_judged() {
                continue;
            }
            let windows = &peer.windows;
            let has_push = windows.last_cycle >= cycle as u32;
            self.score.tallies[Guarantee::G4.index()].exercised += u64::from(has_push);
            if windows.must(due) {
                let is_untouched = !windows.has_commanded;
                untouched.exercised += u64::from(is_untouched);
                if has_push {
                    self.exercise(Guarantee::G3);
                } else {
                    untouched.violations += u64::from(is_untouched);
                    lost.push(LinkId(index as u32));
                }
            } else if windows.must_not(due) && !has_push {
                self.exercise(Guarantee::G2);
            }
            self.check_waiting(peer, now);
        }
        // Somebody was dead, and everybody else was served.
        self.score.tallies[Guarantee::G10.index()].exercised += u64::from(has_dead && lost.is_empty());
        self.score.tallies[Guarantee::G1.index()].exercised += untouched.exercised - untouched.violations;
        // If nobody who never sent a command was served, then it is the initial state that is wrong.
        let is_default_broken = untouched.violations > 1 && untouched.violations == untouched.exercised;
        for link in lost {
            let peer = &peers[link.index()];
            let guarantee =
                if is_default_broken && !peer.windows.has_commanded { Guarantee::G1 } else { Guarantee::G3 };
            self.violate(guarantee, Fault::Lost, now, peer.client, || {
                format!("the push of cycle {cycle} never came; subscribed since {}", peer.windows.since)
            });
        }
    }

    /// Whether the answer to something that was sent is overdue.
    fn check_waiting(&mut self, peer: &mut Peer, now: Timestamp) {
        let limit = self.longest_way * 2 + self.bounds.reply;
        let client = peer.client;
        if let Some(text) = peer.echoes.front()
            && now.since(peer.waiting_since) > limit
        {
            let guarantee = if text == Text::Heartbeat { Guarantee::G13 } else { Guarantee::G8 };
            self.violate(guarantee, Fault::Lost, now, client, || format!("the reply to {text:?} never came"));
            peer.echoes.clear();
        }
        if let Some(text) = peer.unlogged.front()
            && now.since(peer.waiting_since) > limit
            && peer.echoes.front().is_none()
        {
            self.violate(Guarantee::G15, Fault::WrongLog, now, client, || {
                format!("{text:?} was never logged")
            });
            peer.unlogged.clear();
        }
        if peer.ping != 0 && now.since(peer.pinged_at) > limit {
            self.violate(Guarantee::G13, Fault::Lost, now, client, || "a ping was never answered".to_owned());
            peer.ping = 0;
        }
    }

    /// A settled change of subscription, for the races that it was part of.
    pub(crate) fn on_settled(&mut self, windows: &Windows, asked_at: Timestamp, now: Timestamp) {
        let race = match (windows.has_commanded, windows.state) {
            (false, _) => Race::Connect,
            (true, State::Off) => Race::Unsubscribe,
            (true, _) => Race::Subscribe,
        };
        self.on_change(race, asked_at, now);
    }
}
