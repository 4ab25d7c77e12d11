//! The score of a run: plain data, for reports.

use carillon_server::Timestamp;
use hdrhistogram::Histogram;

use crate::oracle::coverage::Coverage;
use crate::oracle::guarantee::Guarantee;

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
    /// The client that it happened to; `None` where it concerns the server as a whole.
    pub client: Option<u32>,
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
    /// Which faults met which guarantees.
    pub coverage: Coverage,
    /// The first violations; more are only counted.
    pub violations: Vec<Violation>,
    /// From the due instant to the arrival of the push, in microseconds.
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
            latency: Histogram::new_with_bounds(1, HOUR_IN_MICROS, 3).expect("valid bounds and precision"),
        }
    }

    /// How many promises were broken, kept violations or not.
    pub fn violation_count(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.violations).sum()
    }
}
