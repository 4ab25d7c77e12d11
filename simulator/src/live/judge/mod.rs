//! The judge of a live run. It uses the simulator's checker for what a connection receives, and judges pushes with
//! windows as wide as the measured delays.
//!
//! A lost push is found when a later one arrives: the stream is in order, so that verdict needs no clock. Whether a
//! connection was owed a push is decided with the bound of the due instant that the arrivals give.

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
use crate::oracle::clause::{Clause, Lapse};
use crate::oracle::connection::Connection;
use crate::oracle::coverage::Met;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Tally, Violation};
use crate::oracle::score_keeper::{Retention, ScoreKeeper};
use crate::oracle::sighting::Sighting;

/// The most violations of each guarantee that are kept with their details.
const KEPT: usize = 8;

const RETENTION: Retention = Retention { of_each: KEPT, in_all: 0 };

/// How long after another client's offence a lost connection is attributed to that offence, and how long after its
/// own pong to the pong.
pub(super) const ATTRIBUTION_TIME: Duration = Duration::from_millis(300);

/// A connection and the role of its client.
#[derive(Debug)]
pub(crate) struct LiveConnection {
    pub(crate) core: Connection,
    /// The role of its client, as violations state it.
    pub(crate) role: &'static str,
    /// The newest cycle that was checked.
    pub(crate) audited: u64,
    /// The instant that the last push stated, in seconds since 1970.
    pub(crate) last_stated: i64,
    /// The number of pushes on this connection.
    pub(crate) pushes: u32,
    /// Whether it is excluded from judgement: its client does not read or broke a rule, so that it is unknown what
    /// the server owes it.
    pub(crate) is_excluded: bool,
}

/// The result of one cycle for its subscribers.
#[derive(Debug, Default)]
struct Audit {
    served: u64,
    served_untouched: u64,
    lost: u64,
    lost_untouched: u64,
    /// Losses of clients that had got nothing for one and a half periods.
    lost_for_long: u64,
    kept: Vec<Lost>,
    /// Whether the server sent anything to any client in the third of a period after the due instant.
    is_alive: bool,
    /// Whether at least one client did not read.
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

/// The judge, and everything that it has observed.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(super) keeper: ScoreKeeper,
    pub(crate) grid: PushGrid,
    pub(crate) stamps: Stamps,
    /// For each guarantee, sentences that say why it is undecided.
    doubts: BTreeMap<Guarantee, Vec<String>>,
    /// For each guarantee, sentences about what was observed.
    findings: BTreeMap<Guarantee, Vec<String>>,
    /// Sentences for the top of the report.
    headlines: Vec<String>,
    audits: BTreeMap<u64, Audit>,
    /// Whether pushes were lost while every client was reading.
    has_lost_unburdened: bool,
    /// Since when at least one client does not read.
    pub(crate) burdened_since: Option<Timestamp>,
    last_offence: Option<Timestamp>,
    pub(crate) drained_at: Option<Timestamp>,
    /// Whether the server sent different texts for one cycle.
    pub(crate) has_other_texts: bool,
    texts: (u64, String),
    /// The instant that this text states, in seconds since 1970, once it was judged right.
    good_text: i64,
    pub(crate) is_strict: bool,
    /// The number of pushes that never arrived, and of pushes that arrived twice.
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// The largest lateness of pushes that were more than half a period late, and their number.
    late: (Duration, u64),
    /// Connections that ended without a cause. `None` if each of them is a violation; otherwise the caller decides
    /// what they mean.
    pub(crate) drops: Option<Vec<Dropped>>,
}

/// A connection that the server ended without a cause that the protocol allows.
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
            headlines: Vec::new(),
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

    /// The kept violations from index `first` on, so that details can be added.
    pub(crate) fn violations_from(&mut self, first: usize) -> impl Iterator<Item = &mut Violation> {
        self.keeper.score.violations.iter_mut().skip(first)
    }

    /// The number of all violations.
    pub(crate) fn violation_count(&self) -> u64 {
        self.keeper.score.violation_count()
    }

    /// The number of doubts.
    pub(crate) fn doubt_count(&self) -> u64 {
        self.doubts.values().map(|doubts| doubts.len() as u64).sum()
    }

    pub(crate) fn deliveries(&self) -> u64 {
        self.keeper.score.deliveries
    }

    /// Counts a case in which a guarantee could have been broken and was kept.
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

    /// Notes a departure from a clause that hurts no one: lax, or a violation where laxity counts.
    pub(crate) fn lapse(
        &mut self,
        clause: Clause,
        fault: Fault,
        at: Timestamp,
        client: Option<u32>,
        detail: String,
    ) {
        if self.is_strict {
            self.violate(clause.guarantee(), fault, at, client, format!("{detail} ({})", clause.section()));
        } else {
            self.keeper.lapse(clause, detail);
        }
    }

    /// The departures that hurt no one.
    pub(crate) fn lapses(&self) -> &[Lapse] {
        &self.keeper.score.lapses
    }

    /// Notes that something cannot be decided from outside; the sentence says what.
    pub(crate) fn add_doubt(&mut self, guarantee: Guarantee, sentence: String) {
        let doubts = self.doubts.entry(guarantee).or_default();
        if doubts.len() < KEPT && !doubts.contains(&sentence) {
            doubts.push(sentence);
        }
    }

    /// Adds a sentence about what a verdict is based on.
    pub(crate) fn add_finding(&mut self, guarantee: Guarantee, sentence: String) {
        self.findings.entry(guarantee).or_default().push(sentence);
    }

    /// Adds a sentence to the top of the report.
    pub(crate) fn add_headline(&mut self, sentence: String) {
        if !self.headlines.contains(&sentence) {
            self.headlines.push(sentence);
        }
    }

    pub(crate) fn headlines(&self) -> &[String] {
        &self.headlines
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

    /// Notes that the server sent something to a client at this time.
    pub(crate) fn on_sign_of_life(&mut self, at: Timestamp) {
        let cycle = self.grid.newest(at);
        if cycle > 0 && at.since(self.grid.due(cycle)) < self.grid.period() / 3 {
            self.audits.entry(cycle).or_default().is_alive = true;
        }
    }

    /// Judges an echo.
    pub(crate) fn on_echo(&mut self, connection: &mut LiveConnection, text: &[u8], seen: Sighting) {
        if connection.is_excluded {
            return;
        }
        let first = self.violations().len();
        echoes::on_echo(&mut self.keeper, &mut connection.core, text, seen);
        for violation in self.violations_from(first) {
            violation.detail = format!("{}: {}", connection.role, violation.detail);
        }
    }

    /// Judges the end of a connection for which the protocol gives no cause. `ending` says how it ended.
    pub(crate) fn on_dropped(&mut self, connection: &LiveConnection, at: Timestamp, ending: &str) {
        let detail = format!("{}: the server ended the connection {ending}", connection.role);
        if let Some(drops) = &mut self.drops {
            return drops.push(Dropped { at, client: connection.core.client, detail });
        }
        let is_aftermath = self.last_offence.is_some_and(|offence| at.since(offence) < ATTRIBUTION_TIME);
        let (guarantee, cause) = match self.drained_at {
            Some(_) => (Guarantee::G14, ""),
            None if is_aftermath => (Guarantee::G12, ", right after another client had broken a rule"),
            None => (Guarantee::G3, ""),
        };
        self.violate(guarantee, Fault::Dropped, at, Some(connection.core.client), detail + cause);
    }
}

/// An instant of the run in seconds, as `12.345 s`.
pub(crate) fn seconds(at: Timestamp) -> String {
    format!("{:.3} s", at.as_nanos() as f64 / 1e9)
}
