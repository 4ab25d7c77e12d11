//! What the judge notes of single connections and cycles until it draws conclusions.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use carillon_server::Timestamp;

use super::evidence::Observation;

/// The result of one cycle for its subscribers.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) served: u64,
    pub(super) served_untouched: u64,
    pub(super) lost: u64,
    pub(super) lost_untouched: u64,
    /// Losses of clients that had got nothing for one and a half periods.
    pub(super) lost_for_long: u64,
    pub(super) kept: Vec<Lost>,
    /// Whether the server sent anything to any client in the third of a period after the due instant.
    pub(super) is_alive: bool,
    /// Whether at least one client did not read.
    pub(super) is_burdened: bool,
}

#[derive(Debug)]
pub(super) struct Lost {
    pub(super) client: u32,
    pub(super) role: &'static str,
    pub(super) since: Timestamp,
    pub(super) is_untouched: bool,
    pub(super) is_long: bool,
    /// Whether the client's newest command was a binary message.
    pub(super) is_binary: bool,
}

/// Pushes that were more than half a period late.
#[derive(Debug, Default)]
pub(super) struct Late {
    pub(super) longest: Duration,
    pub(super) count: u64,
    pub(super) cycles: BTreeSet<u64>,
    /// Whether the server waited for a processor meanwhile.
    pub(super) is_starved: bool,
}

impl Late {
    pub(super) fn add(&mut self, late: Duration, cycle: u64, is_starved: bool) {
        self.longest = self.longest.max(late);
        self.count += 1;
        self.cycles.insert(cycle);
        self.is_starved |= is_starved;
    }
}

/// A push whose text states an earlier instant than the one before. Whether the clock was set is known at the end.
#[derive(Debug)]
pub(super) struct Backwards {
    /// The cycle of the text before.
    pub(super) since: u64,
    pub(super) cycle: u64,
    pub(super) at: Timestamp,
    pub(super) client: u32,
    pub(super) seen: Observation,
}

/// The end of a connection that the server ended without a cause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// How long it was open.
    pub(crate) lived: Duration,
    /// The time since the last byte in either direction.
    pub(crate) silent: Duration,
    /// The code of the server's Close; the outer `None` if there was none.
    pub(crate) code: Option<Option<u16>>,
}

/// How the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a Close of this code.
    Close(Option<u16>),
    /// With the end of the stream, or a reset.
    Stream,
}

impl Ending {
    /// Whether it says that the client has broken a rule.
    pub(super) fn accuses(self) -> bool {
        matches!(self, Self::Close(Some(1002 | 1007 | 1009)))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(Some(code)) => write!(f, "with a Close of {code}"),
            Self::Close(None) => f.write_str("with a Close without a code"),
            Self::Stream => f.write_str("without a Close"),
        }
    }
}

/// A connection that the server ended without a cause that the protocol allows.
#[derive(Debug)]
pub(crate) struct Dropped {
    pub(crate) at: Timestamp,
    pub(crate) client: u32,
    pub(crate) detail: String,
}
