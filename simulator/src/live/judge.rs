//! The judge of a live run: the checker of the simulator for what a connection says, and for the pushes windows that
//! are as wide as what was measured.
//!
//! Lost pushes are found when a later one arrives: the stream is in order, so no clock is needed for that verdict. Who
//! was owed which push is decided with the bound of its due instant that the arrivals themselves give.

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::{Timestamp, WallTime, Zone};

use super::pulse::Arrival;
use super::rhythm::{Fit, Rhythm};
use super::stamps::Stamps;
use crate::checker::{Checker, Sighting};
use crate::guarantee::Guarantee;
use crate::model::Grid;
use crate::peer::{Peer, Phase};
use crate::score::{Bounds, Fault, Tally, Violation};

/// Violations of each guarantee that are kept with their story; all are counted.
const KEPT: usize = 8;

/// How long after an offence a harmless client's loss is put down to it.
const AFTERMATH: Duration = Duration::from_millis(300);

/// A connection and who holds it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) peer: Peer,
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

impl Lost {
    fn describe(&self, due: Timestamp) -> String {
        let (role, due, since) = (self.role, seconds(due), seconds(self.since));
        format!("{role}: no push of the cycle due at {due}; subscribed, and that settled, since {since}")
    }
}

/// The judge, and all that it has seen.
#[derive(Debug)]
pub(crate) struct Judge {
    checker: Checker,
    pub(crate) rhythm: Rhythm,
    pub(crate) stamps: Stamps,
    pub(crate) violations: Vec<Violation>,
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
        // The checker's own grid and bounds are the simulator's: nothing that is asked of it here looks at them.
        let grid = Grid::new(period, WallTime::default(), Zone::UTC);
        let bounds = Bounds { push: period / 2, reply: period, release: period };
        Self {
            checker: Checker::new(grid, bounds, Duration::ZERO),
            rhythm: Rhythm::new(period),
            stamps,
            violations: Vec::new(),
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
        self.checker.score.tallies[guarantee.index()]
    }

    /// How many promises were broken.
    pub(crate) fn violation_count(&self) -> u64 {
        self.checker.score.violation_count()
    }

    /// How many sentences say that something could not be decided.
    pub(crate) fn doubt_count(&self) -> u64 {
        self.doubts.values().map(|doubts| doubts.len() as u64).sum()
    }

    pub(crate) fn deliveries(&self) -> u64 {
        self.checker.score.deliveries
    }

    /// A promise was kept that could have been broken here.
    pub(crate) fn exercise(&mut self, guarantee: Guarantee) {
        self.checker.score.tallies[guarantee.index()].exercised += 1;
    }

    pub(crate) fn violate(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        client: Option<u32>,
        detail: String,
    ) {
        self.checker.score.tallies[guarantee.index()].violations += 1;
        self.keep(Violation { guarantee, fault, at, client, detail });
    }

    fn keep(&mut self, violation: Violation) {
        let alike = self.violations.iter().filter(|kept| kept.guarantee == violation.guarantee).count();
        if alike < KEPT {
            self.violations.push(violation);
        }
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
        let cycle = self.rhythm.newest(at);
        if cycle > 0 && at.since(self.rhythm.due(cycle)) < self.rhythm.period() / 3 {
            self.audits.entry(cycle).or_default().is_alive = true;
        }
    }

    /// An echo arrived.
    pub(crate) fn on_echo(&mut self, seat: &mut Seat, text: &[u8], seen: Sighting) {
        if seat.is_out {
            return;
        }
        self.checker.on_echo(&mut seat.peer, text, seen);
        self.take_over(seat);
    }

    /// What the checker has kept becomes part of this score.
    fn take_over(&mut self, seat: &Seat) {
        for mut violation in std::mem::take(&mut self.checker.score.violations) {
            violation.detail = format!("{}: {}", seat.role, violation.detail);
            self.keep(violation);
        }
    }

    /// A push arrived. Returns its cycle.
    pub(crate) fn on_push(&mut self, seat: &mut Seat, arrival: Arrival, offset: u64) -> u64 {
        self.checker.score.deliveries += 1;
        let cycle = self.cycle_of(seat, arrival);
        self.rhythm.take(cycle, arrival);
        if seat.is_out {
            return cycle;
        }
        self.audit_before(seat, cycle, arrival.at);
        let (client, role) = (Some(seat.peer.client), seat.role);
        if offset >= seat.peer.windows.quiet_from {
            let since = arrival.at.since(seat.peer.windows.since);
            let detail = format!(
                "{role}: a push {since:.1?} behind the fence of an unsubscribe, and no subscribe since"
            );
            self.violate(Guarantee::G2, Fault::Unexpected, arrival.at, client, detail);
        }
        if self.is_second(seat, cycle, arrival) {
            self.on_second(seat, cycle, arrival);
        } else {
            self.on_first(seat, cycle);
        }
        self.check_drained(seat, arrival);
        seat.peer.windows.last_cycle = cycle as u32;
        seat.peer.last_push_at = arrival.earliest;
        seat.pushes += 1;
        cycle
    }

    /// The cycle next to it; or the one before, if that is the one that this client waits for. Such a push is late by more
    /// than half a period, unless it was the harness that was.
    fn cycle_of(&mut self, seat: &Seat, arrival: Arrival) -> u64 {
        let nearest = self.rhythm.nearest(arrival.at);
        if arrival.width() > self.rhythm.period() / 4 {
            // The harness was held up, and everything of that time is read at once: then the order must do.
            let next = u64::from(seat.peer.windows.last_cycle) + 1;
            return next.max(self.rhythm.nearest(arrival.earliest)).min(nearest);
        }
        let before = nearest.saturating_sub(1);
        let waits =
            !seat.is_out && u64::from(seat.peer.windows.last_cycle) < before && self.is_owed(seat, before);
        if before == 0 || !waits || arrival.at >= self.rhythm.due(nearest) || self.rhythm.is_excused(before) {
            return nearest;
        }
        let late = arrival.earliest.since(self.rhythm.due(before));
        if late > self.rhythm.period() / 2 {
            self.late.0 = self.late.0.max(late);
            self.late.1 += 1;
        }
        before
    }

    fn is_second(&self, seat: &Seat, cycle: u64, arrival: Arrival) -> bool {
        let gap = arrival.at.since(seat.peer.last_push_at);
        let is_close = seat.peer.last_push_at > Timestamp::ZERO && gap < self.rhythm.period() / 2;
        seat.pushes > 0 && (is_close || u64::from(seat.peer.windows.last_cycle) >= cycle)
    }

    fn on_second(&mut self, seat: &Seat, cycle: u64, arrival: Arrival) {
        self.duplicates += 1;
        let gap = arrival.at.since(seat.peer.last_push_at);
        let was_stalled = self.rhythm.is_excused(cycle) && self.tally(Guarantee::G4).violations == 0;
        let (guarantee, cause) = if was_stalled {
            (Guarantee::G7, ", right after a stall: missed cycles are skipped, not made up for")
        } else {
            (Guarantee::G4, "")
        };
        let detail = format!("{}: two pushes within {gap:.1?}{cause}", seat.role);
        self.violate(guarantee, Fault::Duplicated, arrival.at, Some(seat.peer.client), detail);
    }

    fn on_first(&mut self, seat: &Seat, cycle: u64) {
        let is_untouched = !seat.peer.windows.has_commanded;
        let is_owed = self.is_owed(seat, cycle);
        let is_burdened = self.is_burdened(cycle);
        let audit = self.audits.entry(cycle).or_default();
        audit.is_burdened = is_burdened;
        audit.served += 1;
        audit.served_untouched += u64::from(is_untouched);
        if seat.pushes > 0 {
            self.exercise(Guarantee::G4);
        }
        if is_owed {
            self.exercise(Guarantee::G3);
            if is_untouched {
                self.exercise(Guarantee::G1);
            }
        }
    }

    fn check_drained(&mut self, seat: &Seat, arrival: Arrival) {
        let Some(drained_at) = self.drained_at else { return };
        // Its own signal reaches a server that is busy later than it was sent; a cycle is more than that.
        let cycle = u64::from(seat.peer.windows.last_cycle) + 1;
        let due = self.rhythm.due(cycle);
        if due > drained_at + self.rhythm.period() / 4 && arrival.earliest >= due {
            let detail = format!("{}: a push of a cycle that fell due after the signal", seat.role);
            self.violate(Guarantee::G14, Fault::Unexpected, arrival.at, Some(seat.peer.client), detail);
        }
    }

    /// Whether this cycle's push must reach that connection: settled a third of a period before the bound of its due
    /// instant, as the true one may lie that much earlier.
    fn is_owed(&self, seat: &Seat, cycle: u64) -> bool {
        let due = self.rhythm.due(cycle).as_nanos();
        let snapshot = due.saturating_sub(self.rhythm.period().as_nanos() as u64 / 3);
        seat.peer.windows.must(Timestamp::from_nanos(snapshot))
    }

    fn is_burdened(&self, cycle: u64) -> bool {
        self.burdened_since.is_some_and(|since| self.rhythm.due(cycle) > since)
    }

    /// A push of `cycle` is there: those before it come no more.
    fn audit_before(&mut self, seat: &mut Seat, cycle: u64, at: Timestamp) {
        for missing in seat.audited + 1..cycle {
            self.audit(seat, missing, at);
        }
        seat.audited = seat.audited.max(cycle);
    }

    /// Looks at the cycles whose push must have come by now; before a command, and at the end of a connection.
    pub(crate) fn settle_accounts(&mut self, seat: &mut Seat, now: Timestamp, blur: Duration) {
        let patience = self.rhythm.period() / 2 + blur;
        let newest = self.rhythm.newest(now);
        for cycle in seat.audited + 1..=newest {
            if self.rhythm.due(cycle) + patience > now {
                break;
            }
            self.audit(seat, cycle, now);
            seat.audited = cycle;
        }
    }

    /// This cycle's push has not come by now.
    fn audit(&mut self, seat: &Seat, cycle: u64, now: Timestamp) {
        let is_there = !seat.is_out && seat.peer.phase == Phase::Open;
        let is_ours = is_there && u64::from(seat.peer.windows.last_cycle) < cycle;
        let is_over =
            self.drained_at.is_some_and(|at| self.rhythm.due(cycle) + self.rhythm.period() / 2 >= at);
        if !is_ours || is_over || self.rhythm.is_excused(cycle) {
            return;
        }
        if seat.peer.windows.must_not(self.rhythm.due(cycle)) {
            return self.exercise(Guarantee::G2);
        }
        if !self.is_owed(seat, cycle) {
            return;
        }
        let is_untouched = !seat.peer.windows.has_commanded;
        let is_burdened = self.is_burdened(cycle);
        let without = now.since(seat.peer.windows.since.max(seat.peer.last_push_at));
        let is_long = without > self.rhythm.period() * 3 / 2;
        let audit = self.audits.entry(cycle).or_default();
        audit.is_burdened = is_burdened;
        audit.lost_for_long += u64::from(is_long);
        audit.lost += 1;
        audit.lost_untouched += u64::from(is_untouched);
        if audit.kept.len() < KEPT {
            let (client, role, since) = (seat.peer.client, seat.role, seat.peer.windows.since);
            audit.kept.push(Lost { client, role, since, is_untouched, is_long });
        }
    }

    /// Says of every cycle before `cycle` what its losses mean.
    pub(crate) fn conclude(&mut self, cycle: u64) {
        let later = self.audits.split_off(&cycle);
        let audits = std::mem::replace(&mut self.audits, later);
        for (cycle, audit) in audits {
            self.conclude_cycle(cycle, audit);
        }
    }

    fn conclude_cycle(&mut self, cycle: u64, mut audit: Audit) {
        if self.tally(Guarantee::G4).violations > 0 {
            // With several pushes a cycle nobody can tell which is missing, unless none comes at all.
            audit.lost = audit.lost_for_long;
            audit.kept.retain(|kept| kept.is_long);
        }
        if audit.lost == 0 {
            if audit.is_burdened && audit.served > 0 {
                self.exercise(Guarantee::G10);
            }
            return;
        }
        let at = self.rhythm.due(cycle);
        if audit.served == 0 && !audit.is_alive {
            let sentence = format!(
                "the cycle due at {} was skipped by a server that answered nobody at the time",
                seconds(at)
            );
            return self.doubt(Guarantee::G3, sentence);
        }
        self.lost += audit.lost;
        let is_default_broken = audit.lost_untouched > 1 && audit.served_untouched == 0 && audit.served > 0;
        for kept in &audit.kept {
            let guarantee =
                if is_default_broken && kept.is_untouched { Guarantee::G1 } else { Guarantee::G3 };
            self.violate(guarantee, Fault::Lost, at, Some(kept.client), kept.describe(at));
        }
        let unkept = audit.lost - audit.kept.len() as u64;
        self.checker.score.tallies[Guarantee::G3.index()].violations += unkept;
        if !audit.is_burdened {
            self.has_lost_unburdened = true;
        } else if !self.has_lost_unburdened && self.tally(Guarantee::G3).exercised > 0 {
            let lost = audit.lost;
            let detail = format!(
                "{lost} clients went without the push due at {} while others took nothing",
                seconds(at)
            );
            self.violate(Guarantee::G10, Fault::Lost, at, None, detail);
        }
    }

    /// Whether this very text was found right already, for another client in the same cycle.
    pub(crate) fn is_known_text(&mut self, seat: &mut Seat, cycle: u64, text: &[u8]) -> bool {
        let (known, stated) = (&self.texts, self.good_text);
        let is_known = known.0 == cycle && known.1.as_bytes() == text && stated >= seat.last_stated;
        if is_known && stated > i64::MIN {
            seat.last_stated = stated;
            self.exercise(Guarantee::G6);
            return true;
        }
        false
    }

    /// The instant that a push states; `arrival` and `due` on this machine's wall clock.
    pub(crate) fn on_text(
        &mut self,
        seat: &mut Seat,
        text: &str,
        stated: super::dialect::Stated,
        wall: (WallTime, WallTime),
        cycle: u64,
        at: Timestamp,
    ) {
        let client = Some(seat.peer.client);
        let wrong = |why: &str| format!("{}: {text:?}{why}", seat.role);
        let time = match stated {
            super::dialect::Stated::Wrong => {
                let detail = wrong(" does not follow the pattern, or is no date");
                return self.violate(Guarantee::G6, Fault::WrongText, at, client, detail);
            }
            super::dialect::Stated::Nothing => return self.exercise(Guarantee::G6),
            super::dialect::Stated::Time(time) => time,
        };
        self.compare_texts(cycle, text);
        if time.and_utc().timestamp() < seat.last_stated {
            let detail = wrong(" came behind a later one");
            self.violate(Guarantee::G5, Fault::OutOfOrder, at, client, detail);
        }
        seat.last_stated = time.and_utc().timestamp();
        let slack = self.rhythm.period() / 3;
        match self.stamps.take(time, wall.0, wall.1, slack) {
            Ok(()) => {
                if self.texts.1 == text {
                    self.good_text = seat.last_stated;
                }
                self.exercise(Guarantee::G6);
            }
            Err(why) => {
                let detail = wrong(&format!(", {why}"));
                self.violate(Guarantee::G6, Fault::WrongText, at, client, detail);
            }
        }
    }

    fn compare_texts(&mut self, cycle: u64, text: &str) {
        if self.texts.0 != cycle {
            self.texts = (cycle, text.to_owned());
            self.good_text = i64::MIN;
        } else if self.texts.1 != text {
            self.has_other_texts = true;
        }
    }

    /// The server ended a connection without a cause that the protocol names.
    pub(crate) fn on_dropped(&mut self, seat: &Seat, at: Timestamp, how: &str) {
        let detail = format!("{}: the server ended the connection {how}", seat.role);
        if let Some(drops) = &mut self.drops {
            return drops.push(Dropped { at, client: seat.peer.client, detail });
        }
        let is_aftermath = self.last_offence.is_some_and(|offence| at.since(offence) < AFTERMATH);
        let (guarantee, cause) = match self.drained_at {
            Some(_) => (Guarantee::G14, ""),
            None if is_aftermath => (Guarantee::G12, ", right after another client had broken a rule"),
            None => (Guarantee::G3, ""),
        };
        self.violate(guarantee, Fault::Dropped, at, Some(seat.peer.client), detail + cause);
    }

    /// What became of the pushes that were late by more than half a period (G10). On a machine on which the harness
    /// itself had to wait for its turn nobody can tell whose fault that was.
    pub(crate) fn conclude_late(&mut self, own_delay: Duration, now: Timestamp) {
        let (longest, count) = self.late;
        if count == 0 {
            return;
        }
        let sentence = format!("{count} pushes came more than half a period late, up to {longest:.1?}");
        if own_delay > self.rhythm.period() / 50 {
            let sentence = format!(
                "{sentence}, and the harness itself had to wait for up to {own_delay:.1?} for its turn"
            );
            return self.doubt(Guarantee::G10, sentence);
        }
        self.violate(Guarantee::G10, Fault::Late, now, None, sentence);
    }

    /// What the whole run says about the texts (G6).
    pub(crate) fn conclude_texts(&mut self) {
        if let Some(finding) = self.stamps.finding() {
            self.find(Guarantee::G6, finding);
        }
        if !self.has_other_texts {
            return;
        }
        if self.is_strict {
            let detail = "clients got different texts of one cycle".to_owned();
            self.violate(Guarantee::G6, Fault::WrongText, Timestamp::ZERO, None, detail);
        } else {
            self.find(
                Guarantee::G6,
                "texts of one cycle differ, as where they are rendered when they are sent".to_owned(),
            );
        }
    }

    /// What the whole run says about the grid (G7).
    pub(crate) fn conclude_grid(&mut self, blur: Duration, now: Timestamp) {
        if self.tally(Guarantee::G4).violations > 0 {
            let sentence = "clients got several pushes a cycle, so no grid can be told from them".to_owned();
            return self.doubt(Guarantee::G7, sentence);
        }
        match self.rhythm.fit(blur) {
            Fit::Short => {}
            Fit::Torn { at } => {
                let detail =
                    "the push fits no grid with the others: some stand more than half a period behind"
                        .to_owned();
                self.violate(Guarantee::G7, Fault::Late, at, None, detail);
            }
            Fit::OnGrid { latest, blur } => {
                let cycles = self.rhythm.cycles().len();
                self.checker.score.tallies[Guarantee::G7.index()].exercised += cycles as u64;
                self.find(
                    Guarantee::G7,
                    format!("{cycles} cycles, the first push of each at most {latest:.1?} behind the grid; a drift below {blur:.1?} in all could not have been seen"),
                );
            }
            Fit::Moved { by, is_later } => {
                let direction = if is_later { "later" } else { "earlier" };
                let detail = format!(
                    "every cycle of the second half came at least {by:.1?} {direction} on the grid than any of the first"
                );
                self.violate(Guarantee::G7, Fault::Late, now, None, detail);
            }
        }
    }
}

/// An instant of the run as `12.345 s`.
pub(crate) fn seconds(at: Timestamp) -> String {
    format!("{:.3} s", at.as_nanos() as f64 / 1e9)
}
