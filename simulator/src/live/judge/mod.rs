//! The judge of a live run. It uses the simulator's checker for what a connection receives, and judges pushes with
//! windows as wide as the measured delays.
//!
//! A lost push is found when a later one arrives: the stream is in order, so that verdict needs no clock. Whether a
//! connection was owed a push is decided with the bound of the due instant that the arrivals give.

pub(crate) mod verdicts;

mod causes;
mod conclusion;
mod evidence;
mod facts;
mod pushes;
mod rhythm;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use carillon_server::Timestamp;

use super::clock::grid::PushGrid;
use super::clock::pulse::Arrival;
pub(super) use super::clock::pulse::seconds;
use super::clock::stamps::Stamps;
use super::clock::waiting::Waiting;
use crate::oracle::checker::echoes;
use crate::oracle::clause::{Clause, Lapse};
use crate::oracle::connection::Connection;
use crate::oracle::coverage::Met;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Tally, Violation};
use crate::oracle::score_keeper::{Retention, ScoreKeeper};
use crate::oracle::sighting::Sighting;
pub(crate) use evidence::Observation;
use facts::{Audit, Backwards, Late};
pub(crate) use facts::{Dropped, Ended, Ending};
use rhythm::Rhythms;

/// The most violations of each guarantee that are kept with their details.
const KEPT: usize = 300;

/// The most doubts of each guarantee, and the most lost pushes of a cycle with their clients.
const DOUBTS: usize = 8;
const LOST: usize = 24;

const RETENTION: Retention = Retention { of_each: KEPT, in_all: 0 };

/// How long after another client's offence a lost connection is attributed to that offence, and how long after its
/// own pong to the pong.
pub(super) const ATTRIBUTION_TIME: Duration = Duration::from_millis(300);

/// How the outcome begins if an unwanted push follows a binary command.
const BINARY: &str = "a push after `subscribe` as a binary message";

/// From this length on, in bytes, a text is the likely cause if the server ends the connection in place of its echo.
const LONG_TEXT: u32 = 16 << 10;

/// How long a server may be silent at least before it counts as standing still: some time slices of the scheduler.
const SILENCE: Duration = Duration::from_millis(80);

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
    /// The cycle of that push.
    pub(crate) stated_in: u64,
    /// The number of pushes on this connection.
    pub(crate) pushes: u32,
    /// The stall after which pushes are counted, and the number of pushes since.
    pub(crate) after_stall: (Option<usize>, u32),
    /// How often it got two pushes that seem to be of one cycle, half a period or more apart.
    pub(crate) excess: u8,
    /// Whether the client has sent a command as a binary message and no other command since.
    pub(crate) has_binary_command: bool,
    /// Whether it is excluded from judgement: its client does not read or broke a rule, so that it is unknown what
    /// the server owes it.
    pub(crate) is_excluded: bool,
}

impl LiveConnection {
    /// A new connection; `audited` is the newest cycle that was due before.
    pub(crate) fn new(core: Connection, role: &'static str, audited: u64) -> Self {
        Self {
            core,
            role,
            audited,
            last_stated: i64::MIN,
            stated_in: 0,
            pushes: 0,
            after_stall: (None, 0),
            excess: 0,
            has_binary_command: false,
            is_excluded: false,
        }
    }
}

/// The judge, and everything that it has observed.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(super) keeper: ScoreKeeper,
    /// What was observed for each kept violation, by its place among them.
    observations: Vec<Observation>,
    pub(crate) grid: PushGrid,
    pub(crate) stamps: Stamps,
    /// For each guarantee, sentences that say why it is undecided.
    doubts: BTreeMap<Guarantee, Vec<String>>,
    /// Guarantees of which a doubt outweighs what was exercised.
    undecided: BTreeSet<Guarantee>,
    /// For each guarantee, sentences about what was observed.
    findings: BTreeMap<Guarantee, Vec<String>>,
    /// Sentences for the top of the report.
    headlines: Vec<String>,
    audits: BTreeMap<u64, Audit>,
    /// Whether pushes were lost while every client was reading.
    has_lost_unburdened: bool,
    /// Since when at least one client does not read.
    pub(crate) burdened_since: Option<Timestamp>,
    last_offence: Option<(Timestamp, String)>,
    /// How the server ended by itself, if it has.
    crash: Option<String>,
    /// When the server last sent anything, to any client.
    last_life: Timestamp,
    /// Since when at least one client waits for a reply. Meanwhile silence shows that the server stands still.
    asked_at: Option<Timestamp>,
    /// Since when the server has hung, if it has.
    hangs_since: Option<Timestamp>,
    /// How the server ended connections without a cause.
    ended: Vec<Ended>,
    /// How long the server waited for a processor.
    pub(crate) waiting: Waiting,
    /// The pushes of each connection over time.
    pub(crate) rhythms: Rhythms,
    pub(crate) drained_at: Option<Timestamp>,
    /// Whether the server sent different texts for one cycle.
    pub(crate) has_other_texts: bool,
    texts: (u64, String),
    backwards: Vec<Backwards>,
    /// The instant that this text states, in seconds since 1970, once it was judged right.
    good_text: i64,
    pub(crate) is_strict: bool,
    /// The number of pushes that never arrived, and of pushes that arrived twice.
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// How many of those came right after the first.
    twins: u64,
    /// The pushes that were more than half a period late.
    late: Late,
    /// Connections that ended without a cause. `None` if each of them is a violation; otherwise the caller decides
    /// what they mean.
    pub(crate) drops: Option<Vec<Dropped>>,
}

impl Judge {
    pub(crate) fn new(period: Duration, stamps: Stamps, is_strict: bool) -> Self {
        Self {
            keeper: ScoreKeeper::new(RETENTION),
            observations: Vec::new(),
            grid: PushGrid::new(period),
            stamps,
            doubts: BTreeMap::new(),
            undecided: BTreeSet::new(),
            findings: BTreeMap::new(),
            headlines: Vec::new(),
            audits: BTreeMap::new(),
            has_lost_unburdened: false,
            burdened_since: None,
            last_offence: None,
            crash: None,
            last_life: Timestamp::ZERO,
            asked_at: None,
            hangs_since: None,
            ended: Vec::new(),
            waiting: Waiting::default(),
            rhythms: Rhythms::default(),
            drained_at: None,
            has_other_texts: false,
            texts: (0, String::new()),
            backwards: Vec::new(),
            good_text: i64::MIN,
            is_strict,
            lost: 0,
            duplicates: 0,
            twins: 0,
            late: Late::default(),
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

    /// Adds the story of a client to its violations from index `first` on.
    pub(crate) fn add_story(&mut self, first: usize, client: u32, story: &str) {
        let kept = self.keeper.score.violations.iter_mut().zip(&mut self.observations).skip(first);
        for (violation, seen) in kept.filter(|(violation, _)| violation.client == Some(client)) {
            if seen.story.is_empty() {
                seen.story = story.to_owned();
                violation.detail = seen.sentence();
            }
        }
    }

    /// The evidence of the violations of a guarantee: one sentence for each outcome, the gravest first.
    pub(crate) fn evidence(&self, guarantee: Guarantee) -> Vec<String> {
        let kept = self.violations().iter().zip(&self.observations);
        evidence::sentences(kept.filter(|(violation, _)| violation.guarantee == guarantee))
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
        seen: impl Into<Observation>,
    ) {
        let (known, seen) = (self.violations().len(), seen.into());
        self.keeper.violate(guarantee, fault, at, client, || seen.sentence());
        if self.violations().len() > known {
            self.observations.push(seen);
        }
    }

    /// Notes a departure from a clause that hurts no one: lax, or a violation where laxity counts.
    pub(crate) fn lapse(
        &mut self,
        clause: Clause,
        fault: Fault,
        at: Timestamp,
        client: Option<u32>,
        mut seen: Observation,
    ) {
        if self.is_strict {
            seen.outcome.push_str(&format!(" ({})", clause.section()));
            self.violate(clause.guarantee(), fault, at, client, seen);
        } else {
            seen.story.clear();
            self.keeper.lapse(clause, seen.sentence());
        }
    }

    /// The departures that hurt no one.
    pub(crate) fn lapses(&self) -> &[Lapse] {
        &self.keeper.score.lapses
    }

    /// Notes that something cannot be decided from outside; the sentence says what.
    pub(crate) fn add_doubt(&mut self, guarantee: Guarantee, sentence: String) {
        let doubts = self.doubts.entry(guarantee).or_default();
        if doubts.len() < DOUBTS && !doubts.contains(&sentence) {
            doubts.push(sentence);
        }
    }

    /// The same, and the guarantee is undecided even if it was exercised elsewhere.
    pub(crate) fn leave_undecided(&mut self, guarantee: Guarantee, sentence: String) {
        self.undecided.insert(guarantee);
        self.add_doubt(guarantee, sentence);
    }

    /// Whether a doubt outweighs what was exercised.
    pub(crate) fn is_undecided(&self, guarantee: Guarantee) -> bool {
        self.undecided.contains(&guarantee)
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

    /// Notes that a client breaks a rule, by the name of the offence.
    pub(crate) fn on_offence(&mut self, now: Timestamp, name: &str) {
        self.last_offence = Some((now, name.to_owned()));
    }

    /// Notes that the process of the server has ended by itself. The sentence says how, with the last lines that it
    /// wrote.
    pub(crate) fn on_crash(&mut self, sentence: String) {
        self.crash.get_or_insert(sentence);
    }

    /// Whether the server has ended by itself.
    pub(crate) fn has_crashed(&self) -> bool {
        self.crash.is_some()
    }

    /// Notes that a client waits for a reply from now on.
    pub(crate) fn on_question(&mut self, now: Timestamp) {
        self.asked_at.get_or_insert(now);
    }

    /// Notes that no client that counts waits for a reply.
    pub(crate) fn on_answer(&mut self) {
        self.asked_at = None;
    }

    /// Notes that the server sent something to a client. If it was silent on all connections before, although it was
    /// asked, it stood still.
    pub(crate) fn on_sign_of_life(&mut self, arrival: Arrival) {
        let at = arrival.at;
        if let Some(asked) = self.asked_at {
            let silent = arrival.earliest.since(asked.max(self.last_life));
            let has_stalled = silent > self.longest_silence();
            if has_stalled {
                self.grid.observe_stall(self.last_life, at);
            }
            // A question that is never answered says no more about later silence.
            self.asked_at = (!has_stalled).then_some(at);
        }
        self.last_life = at;
        let cycle = self.grid.newest(at);
        if cycle > 0 && at.since(self.grid.due(cycle)) < self.grid.period() / 3 {
            self.audits.entry(cycle).or_default().is_alive = true;
        }
    }

    /// Whether the server has sent nothing to any client since this instant.
    pub(crate) fn is_silent_since(&self, since: Timestamp) -> bool {
        self.last_life < since
    }

    /// Notes that the server has been silent on all connections since this instant, for longer than any stall lasts.
    pub(crate) fn on_hang(&mut self, since: Timestamp) {
        self.hangs_since.get_or_insert(since);
    }

    /// Whether the server waited for a processor for a good part of the period before this instant.
    pub(crate) fn is_starved(&self, at: Timestamp) -> bool {
        let period = self.grid.period();
        let before = Timestamp::from_nanos(at.as_nanos().saturating_sub(period.as_nanos() as u64));
        self.waiting.between(before, at) > period / 5
    }

    /// How long a server that is asked may be silent on all connections before it counts as standing still.
    fn longest_silence(&self) -> Duration {
        (self.grid.period() / 12).max(SILENCE)
    }

    /// Judges an echo.
    pub(crate) fn on_echo(&mut self, connection: &mut LiveConnection, text: &[u8], seen: Sighting) {
        if connection.is_excluded {
            return;
        }
        let first = self.violations().len();
        echoes::on_echo(&mut self.keeper, &mut connection.core, text, seen);
        self.name_subject(first, connection.role);
    }

    /// Completes what the simulator's checker reported from index `first` on: it knows no roles.
    fn name_subject(&mut self, first: usize, role: &str) {
        for violation in self.keeper.score.violations.iter_mut().skip(first) {
            let seen = Observation::of(role, std::mem::take(&mut violation.detail));
            violation.detail = seen.sentence();
            self.observations.push(seen);
        }
    }

    /// Judges the end of a connection for which the protocol gives no cause. `ending` says how it ended.
    pub(crate) fn on_dropped(&mut self, connection: &LiveConnection, at: Timestamp, ending: Ending) {
        let outcome = format!("the server ended the connection {ending}");
        let (client, is_accused) = (connection.core.client, ending.accuses());
        if let Some(drops) = &mut self.drops {
            let detail = Observation::of(connection.role, outcome).sentence();
            return drops.push(Dropped { at, client, detail });
        }
        let offence = self.last_offence.as_ref().filter(|(offence, _)| at.since(*offence) < ATTRIBUTION_TIME);
        let waiting = connection.core.echoes.front().filter(|text| text.length() >= LONG_TEXT);
        let (guarantee, cause) = match (self.drained_at, waiting) {
            (Some(_), _) => (Guarantee::G14, String::new()),
            // Its own message is the nearer cause.
            (None, Some(text)) => {
                (Guarantee::G12, format!(", before it answered a text of {} bytes", text.length()))
            }
            (None, None) if is_accused => {
                (Guarantee::G12, ", although this client has broken no rule".to_owned())
            }
            (None, None) => match offence {
                Some(_) => (Guarantee::G12, ", right after another client had broken a rule".to_owned()),
                None => (Guarantee::G3, String::new()),
            },
        };
        let seen = Observation::of(connection.role, outcome + &cause);
        self.violate(guarantee, Fault::Dropped, at, Some(client), seen);
    }
}
