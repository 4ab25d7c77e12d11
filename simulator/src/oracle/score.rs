//! The score of a run: plain data for reports.

use carillon_server::Timestamp;
use hdrhistogram::Histogram;

use crate::oracle::clause::Lapse;
use crate::oracle::coverage::Coverage;
use crate::oracle::guarantee::Guarantee;

/// The top of the latency histogram; longer latencies count as this one.
const HOUR_IN_MICROS: u64 = 3_600_000_000;

/// How a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A frame followed the server's Close.
    AfterClose,
    /// The server ended a connection, and the model knows no cause.
    Dropped,
    /// A second push of one cycle.
    Duplicated,
    /// Bytes that no server may send.
    Garbled,
    /// The server kept a connection or memory that it should have released.
    Leaked,
    /// A push, a reply or an answer came, but too late.
    Late,
    /// A push, a reply or an answer never came.
    Lost,
    /// A push or a reply came before one that it should follow.
    OutOfOrder,
    /// A frame came that should not have come at all.
    Unexpected,
    /// A Close with a wrong status code.
    WrongClose,
    /// A reply with a wrong text.
    WrongEcho,
    /// A log line that is missing, or that does not fit the events.
    WrongLog,
    /// A push with a wrong text.
    WrongText,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::AfterClose,
        Self::Dropped,
        Self::Duplicated,
        Self::Garbled,
        Self::Leaked,
        Self::Late,
        Self::Lost,
        Self::OutOfOrder,
        Self::Unexpected,
        Self::WrongClose,
        Self::WrongEcho,
        Self::WrongLog,
        Self::WrongText,
    ];

    /// The fault's name in reports and scripts.
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
    /// The broken promise.
    pub guarantee: Guarantee,
    /// How it was broken.
    pub fault: Fault,
    /// When the oracle found it, in virtual time since the start of the run.
    pub at: Timestamp,
    /// The number of the client that the promise was broken to; `None` where it concerns the server as a whole.
    pub client: Option<u32>,
    /// One sentence: what the oracle saw, and what was due.
    pub detail: String,
}

/// How often a promise was exercised, and how often it was broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many times the promise applied, so that the oracle would have convicted a wrong server.
    pub exercised: u64,
    /// How many times it was broken.
    pub violations: u64,
}

/// A change that was under way at a due instant, so that the push of that cycle may come or not.
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
    /// All races, in the order of [`Score::races`].
    pub const ALL: [Self; 4] = [Self::Close, Self::Connect, Self::Subscribe, Self::Unsubscribe];

    /// The race's name in reports.
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
    /// One tally per guarantee, by [`Guarantee::index`].
    pub tallies: [Tally; 15],
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// Numbers of due instants between the start of a change and its end, in the order of [`Race::ALL`].
    pub races: [u64; 4],
    /// Which hazards met which guarantees.
    pub coverage: Coverage,
    /// The first violations with their details; later ones are only counted in `tallies`.
    pub violations: Vec<Violation>,
    /// Departures from the letter of a standard that hurt no one, one entry for each clause.
    pub lapses: Vec<Lapse>,
    /// What was observed of the server that is neither right nor wrong, each in one sentence.
    pub remarks: Vec<String>,
    /// Push latency from the due instant to the arrival, in microseconds, up to one hour.
    pub latency: Histogram<u64>,
}

impl Score {
    pub(crate) fn new() -> Self {
        Self {
            tallies: Default::default(),
            deliveries: 0,
            races: [0; 4],
            coverage: Coverage::default(),
            violations: Vec::new(),
            lapses: Vec::new(),
            remarks: Vec::new(),
            latency: Histogram::new_with_bounds(1, HOUR_IN_MICROS, 3).expect("valid bounds and precision"),
        }
    }

    /// The number of all violations, with or without kept details.
    pub fn violation_count(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.violations).sum()
    }
}
