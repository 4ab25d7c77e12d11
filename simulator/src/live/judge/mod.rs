//! The judge of a live run: the checker of the simulator for what a connection says, and for the pushes windows that
//! are as wide as what was measured.
//!
//! Lost pushes are found when a later one arrives: the stream is in order, so no clock is needed for that verdict. Who
//! was owed which push is decided with the bound of its due instant that the arrivals themselves give.

pub(crate) mod verdicts;

mod conclusion;
mod pushes;
mod texts;

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::Timestamp;

use super::clock::grid::PushGrid;
use super::clock::stamps::Stamps;
use crate::oracle::checker::echoes;
use crate::oracle::connection::Connection;
use crate::oracle::coverage::Met;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Tally, Violation};
use crate::oracle::score_keeper::{Retention, ScoreKeeper};
use crate::oracle::sighting::Sighting;

/// Violations of each guarantee that are kept with their story.
const KEPT: usize = 8;

const RETENTION: Retention = Retention { of_each: KEPT, in_all: 0 };

/// How long after an offence a harmless client's loss is put down to it, and after a pong its own.
pub(super) const AFTERMATH: Duration = Duration::from_millis(300);

/// A connection and who holds it.
#[derive(Debug)]
pub(crate) struct LiveConnection {
    pub(crate) core: Connection,
    /// What its client is there for.
    pub(crate) role: &'static str,
    /// Cycles up to this one were looked at.
    pub(crate) audited: u64,
    /// The instant that the last push stated, in seconds since the epoch.
    pub(crate) last_stated: i64,
    /// Pushes on this connection.
    pub(crate) pushes: u32,
    /// It never read, or broke a rule: what it is owed, nobody can tell.
    pub(crate) is_out: bool,
}

/// What became of the subscribers of one cycle.
#[derive(Debug, Default)]
struct Audit {
    served: u64,
    served_untouched: u64,
    lost: u64,
    lost_untouched: u64,
    /// Of them, those to clients that had got nothing for one and a half periods.
    lost_for_long: u64,
    kept: Vec<Lost>,
    /// The server answered somebody in the third of a period behind the due instant.
    is_alive: bool,
    /// Somebody takes nothing.
    is_burdened: bool,
}

#[derive(Debug)]
struct Lost {
    client: u32,
    role: &'static str,
    since: Timestamp,
    is_untouched: bool,
    is_long: bool,
}

/// The judge, and all that it has seen.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(super) keeper: ScoreKeeper,
    pub(crate) grid: PushGrid,
    pub(crate) stamps: Stamps,
    /// Why a guarantee could not be decided.
    doubts: BTreeMap<Guarantee, Vec<String>>,
    /// What was seen, in a sentence.
    findings: BTreeMap<Guarantee, Vec<String>>,
    audits: BTreeMap<u64, Audit>,
    /// Pushes were lost when everybody read.
    has_lost_unburdened: bool,
    /// Since when somebody takes nothing.
    pub(crate) burdened_since: Option<Timestamp>,
    last_offence: Option<Timestamp>,
    pub(crate) drained_at: Option<Timestamp>,
    /// The server rendered different texts for one cycle.
    pub(crate) has_other_texts: bool,
    texts: (u64, String),
    /// The instant that this text states, in seconds since the epoch, once it was found right.
    good_text: i64,
    pub(crate) is_strict: bool,
    /// Pushes that never came, and pushes that came twice.
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// Of the pushes that came more than half a period late, the latest, and how many they are.
    late: (Duration, u64),
    /// Connections that ended without a cause, where somebody else says what that means; else it is a violation.
    pub(crate) drops: Option<Vec<Dropped>>,
}

/// A connection that the server ended without a cause that the protocol names.
#[derive(Debug)]
pub(crate) struct Dropped {
    pub(crate) at: Timestamp,
    pub(crate) client: u32,
    pub(crate) detail: String,
}

impl Judge {
    pub(crate) fn new(period: Duration, stamps: Stamps, is_strict: bool) -> Self {
        Self {
            keeper: ScoreKeeper::new(RETENTION),
            grid: PushGrid::new(period),
            stamps,
            doubts: BTreeMap::new(),
            findings: BTreeMap::new(),
            audits: BTreeMap::new(),
            has_lost_unburdened: false,
            burdened_since: None,
            last_offence: None,
            drained_at: None,
            has_other_texts: false,
            texts: (0, String::new()),
            good_text: i64::MIN,
            is_strict,
            lost: 0,
            duplicates: 0,
            late: (Duration::ZERO, 0),
            drops: None,
        }
    }

    pub(crate) fn tally(&self, guarantee: Guarantee) -> Tally {
        self.keeper.tally(guarantee)
    }

    /// The violations that were kept.
    pub(crate) fn violations(&self) -> &[Violation] {
        &self.keeper.score.violations
    }

    /// The violations that were kept from this one on, to add what their client saw.
    pub(crate) fn violations_from(&mut self, first: usize) -> impl Iterator<Item = &mut Violation> {
        self.keeper.score.violations.iter_mut().skip(first)
    }

    /// How many promises were broken.
    pub(crate) fn violation_count(&self) -> u64 {
        self.keeper.score.violation_count()
    }

    /// How many sentences say that something could not be decided.
    pub(crate) fn doubt_count(&self) -> u64 {
        self.doubts.values().map(|doubts| doubts.len() as u64).sum()
    }

    pub(crate) fn deliveries(&self) -> u64 {
        self.keeper.score.deliveries
    }

    /// A promise was kept that could have been broken here.
    pub(crate) fn exercise(&mut self, guarantee: Guarantee) {
        self.keeper.exercise(guarantee, Met::default());
    }

    pub(crate) fn violate(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        client: Option<u32>,
        detail: String,
    ) {
        self.keeper.violate(guarantee, fault, at, client, || detail);
    }

    /// Something cannot be told apart from outside; the sentence says what.
    pub(crate) fn doubt(&mut self, guarantee: Guarantee, sentence: String) {
        let doubts = self.doubts.entry(guarantee).or_default();
        if doubts.len() < KEPT && !doubts.contains(&sentence) {
            doubts.push(sentence);
        }
    }

    /// A sentence for whoever wants to know what a verdict rests on.
    pub(crate) fn find(&mut self, guarantee: Guarantee, sentence: String) {
        self.findings.entry(guarantee).or_default().push(sentence);
    }

    pub(crate) fn doubts(&self, guarantee: Guarantee) -> &[String] {
        self.doubts.get(&guarantee).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn findings(&self, guarantee: Guarantee) -> &[String] {
        self.findings.get(&guarantee).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn on_offence(&mut self, now: Timestamp) {
        self.last_offence = Some(now);
    }

    /// The server answered somebody.
    pub(crate) fn on_sign_of_life(&mut self, at: Timestamp) {
        let cycle = self.grid.newest(at);
        if cycle > 0 && at.since(self.grid.due(cycle)) < self.grid.period() / 3 {
            self.audits.entry(cycle).or_default().is_alive = true;
        }
    }

    /// An echo arrived.
    pub(crate) fn on_echo(&mut self, connection: &mut LiveConnection, text: &[u8], seen: Sighting) {
        if connection.is_out {
            return;
        }
        let first = self.violations().len();
        echoes::on_echo(&mut self.keeper, &mut connection.core, text, seen);
        for violation in self.violations_from(first) {
            violation.detail = format!("{}: {}", connection.role, violation.detail);
        }
    }

    /// The server ended a connection without a cause that the protocol names.
    pub(crate) fn on_dropped(&mut self, connection: &LiveConnection, at: Timestamp, how: &str) {
        let detail = format!("{}: the server ended the connection {how}", connection.role);
        if let Some(drops) = &mut self.drops {
            return drops.push(Dropped { at, client: connection.core.client, detail });
        }
        let is_aftermath = self.last_offence.is_some_and(|offence| at.since(offence) < AFTERMATH);
        let (guarantee, cause) = match self.drained_at {
            Some(_) => (Guarantee::G14, ""),
            None if is_aftermath => (Guarantee::G12, ", right after another client had broken a rule"),
            None => (Guarantee::G3, ""),
        };
        self.violate(guarantee, Fault::Dropped, at, Some(connection.core.client), detail + cause);
    }
}

/// An instant of the run as `12.345 s`.
pub(crate) fn seconds(at: Timestamp) -> String {
    format!("{:.3} s", at.as_nanos() as f64 / 1e9)
}
