//! One cause in the place of its consequences: what explains most of the violations of a run by one mistake of the
//! server, or of the tester.

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::Timestamp;

use super::evidence::counted_by_guarantee;
use super::facts::Ended;
use super::rhythm::Schedule;
use super::{ATTRIBUTION_TIME, BINARY, Judge, Observation, seconds};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Violation};

/// A connection that closes within this time after it opened is closed at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The share of connections that a common cause must explain.
const MOST: f64 = 0.6;

/// The fewest late pushes that explain others.
const MANY_LATE: u64 = 5;

/// The shortest inactivity timeout that is told from a server that hangs up at once.
const INACTIVITY: Duration = Duration::from_millis(900);

impl Judge {
    /// Notes how the server ended a connection.
    pub(crate) fn on_ended(&mut self, ended: Ended) {
        self.ended.push(ended);
    }

    /// Puts common causes in the place of their consequences. `clients` is the number of all connections.
    pub(crate) fn conclude_causes(&mut self, clients: u32, uncertainty: Duration, now: Timestamp) {
        if self.find_crash() {
            return;
        }
        self.find_refusal_of_all(clients);
        self.find_hang();
        self.find_inactivity_timeout(now);
        if self.grid.cycles().is_empty() {
            return self.find_silence(now);
        }
        if !self.find_lateness() && !self.find_other_period(now) {
            self.find_several_schedules(uncertainty, now);
        }
        self.find_default();
        self.find_burden();
        self.find_no_binary_command();
    }

    /// An unwanted push after a binary command has another cause if such pushes come without one, too.
    fn find_no_binary_command(&mut self) {
        let is_plain = |one: &Violation| one.guarantee == Guarantee::G2 && one.fault == Fault::Unexpected;
        let Some(place) = self.violations().iter().position(is_plain) else { return };
        let (at, cause) = (self.violations()[place].at, self.observations[place].outcome.clone());
        let binary: Vec<bool> =
            self.observations.iter().map(|seen| seen.outcome.starts_with(BINARY)).collect();
        let mut is_binary = binary.into_iter();
        let is_same = |one: &Violation| is_binary.next().unwrap_or(false) || is_plain(one);
        self.replace(Guarantee::G2, Fault::Unexpected, at, cause, is_same);
    }

    /// Pushes that come very late look like lost ones, like two in one cycle, and like wrong texts.
    fn find_lateness(&mut self) -> bool {
        let is_root = |one: &&Violation| {
            one.fault == Fault::Late && matches!(one.guarantee, Guarantee::G7 | Guarantee::G10)
        };
        let place = self.violations().iter().position(|one| is_root(&one));
        let is_cause = self.is_very_late() && !self.has_twins();
        let (Some(place), true) = (place, is_cause) else { return false };
        let Violation { guarantee, fault, at, .. } = self.violations()[place];
        let cause = self.observations[place].outcome.clone();
        self.replace(guarantee, fault, at, cause, is_about_pushes);
        true
    }

    /// Whether pushes came so late that they can be taken for those of another cycle.
    fn is_very_late(&self) -> bool {
        let is_slow = |one: &Violation| one.guarantee == Guarantee::G10 && one.fault == Fault::Late;
        self.late.count >= MANY_LATE || self.violations().iter().any(is_slow)
    }

    /// Whether the server sends pushes right after each other: then no grid can be told, and lateness explains nothing.
    fn has_twins(&self) -> bool {
        self.twins > 0
    }

    /// Clients that never sent a command get no pushes: then clients that come back get none either.
    fn find_default(&mut self) {
        let is_default = |one: &Violation| one.guarantee == Guarantee::G1 && one.fault == Fault::Lost;
        let Some(first) = self.violations().iter().find(|one| is_default(one)) else { return };
        let at = first.at;
        let sentence =
            "clients that have sent no command get no push, and those that have sent `subscribe` get it";
        let is_lost = |one: &Violation| {
            one.fault == Fault::Lost
                && matches!(one.guarantee, Guarantee::G1 | Guarantee::G3 | Guarantee::G10)
        };
        self.replace(Guarantee::G1, Fault::Lost, at, sentence.to_owned(), is_lost);
    }

    /// Pushes are lost only while other clients do not read.
    fn find_burden(&mut self) {
        let is_root = |one: &Violation| one.guarantee == Guarantee::G10 && one.fault == Fault::Lost;
        let Some(place) = self.violations().iter().position(is_root) else { return };
        let (at, cause) = (self.violations()[place].at, self.observations[place].outcome.clone());
        let is_later = |one: &Violation| {
            one.at >= at
                && one.fault == Fault::Lost
                && matches!(one.guarantee, Guarantee::G3 | Guarantee::G10)
        };
        self.replace(Guarantee::G10, Fault::Lost, at, cause, is_later);
    }

    /// The process of the server ended: what it did not do after that says nothing else.
    fn find_crash(&mut self) -> bool {
        let Some(sentence) = self.crash.clone() else { return false };
        let at = self.last_life;
        let is_near = |offence: &Timestamp| at.since(*offence) < ATTRIBUTION_TIME * 2;
        let offence = self.last_offence.as_ref().filter(|(offence, _)| is_near(offence));
        let (guarantee, cause) = match offence {
            Some((_, name)) => {
                (Guarantee::G12, format!(", right after clients had broken rules, the last one with {name}"))
            }
            None => (Guarantee::G3, String::new()),
        };
        self.headlines.insert(0, format!("T{}.", &sentence[1..]));
        let is_later = |one: &Violation| {
            one.at + ATTRIBUTION_TIME >= at
                && matches!(
                    one.fault,
                    Fault::Lost | Fault::Dropped | Fault::Leaked | Fault::Late | Fault::Unexpected
                )
        };
        let end = sentence.split("; it wrote").next().unwrap_or_default().to_owned();
        self.replace(guarantee, Fault::Dropped, at, end + &cause, is_later);
        true
    }

    /// The server hung: what it answered to no client after that says nothing else.
    fn find_hang(&mut self) {
        let Some(since) = self.hangs_since else { return };
        let is_after = |at: Timestamp| since.since(at) < AT_ONCE;
        let burdened = self.burdened_since.is_some_and(|at| at < since);
        let (guarantee, cause) = match () {
            () if self.last_offence.as_ref().is_some_and(|(at, _)| is_after(*at)) => {
                (Guarantee::G12, ", after a client had broken a rule")
            }
            () if burdened => (Guarantee::G10, ", while clients did not read"),
            () => (Guarantee::G3, ""),
        };
        let sentence =
            format!("the server answered nothing on any connection from {} on{cause}", seconds(since));
        self.add_headline(format!("T{}.", &sentence[1..]));
        let is_later = |one: &Violation| {
            one.at >= since && matches!(one.fault, Fault::Lost | Fault::Dropped | Fault::Late | Fault::Leaked)
        };
        self.replace(guarantee, Fault::Lost, since, sentence, is_later);
    }

    /// Most connections are closed with one code as soon as they are open: the server wants something first.
    fn find_refusal_of_all(&mut self, clients: u32) {
        let mut codes: BTreeMap<Option<u16>, u32> = BTreeMap::new();
        for ended in self.ended.iter().filter(|ended| ended.lived < AT_ONCE) {
            *codes.entry(ended.code.flatten()).or_default() += 1;
        }
        let Some((code, count)) = codes.into_iter().max_by_key(|(_, count)| *count) else { return };
        if f64::from(count) < f64::from(clients) * MOST || count < 3 {
            return;
        }
        let how = code.map_or("without a code".to_owned(), |code| format!("with {code}"));
        self.add_headline(format!(
            "{count} of {clients} connections were closed {how} at once. If the server wants something first, such as a \
             token or a subprotocol, state it with --dialect."
        ));
    }

    /// Connections that end at the same time after their last byte: a timeout for inactivity.
    fn find_inactivity_timeout(&mut self, now: Timestamp) {
        let mut silent: Vec<Duration> =
            self.ended.iter().map(|ended| ended.silent).filter(|silent| *silent > INACTIVITY).collect();
        silent.sort_unstable();
        let (Some(&shortest), Some(&longest)) = (silent.first(), silent.last()) else { return };
        if silent.len() < 2 || longest - shortest > (shortest / 10).max(Duration::from_millis(100)) {
            return;
        }
        let count = silent.len();
        let sentence = format!(
            "{count} connections ended {:.1} s after their last byte: an inactivity timeout of a proxy or a library?",
            shortest.as_secs_f64()
        );
        self.add_headline(sentence.clone());
        let is_drop = |one: &Violation| one.fault == Fault::Dropped && one.guarantee != Guarantee::G14;
        self.replace(Guarantee::G13, Fault::Dropped, now, sentence, is_drop);
    }

    /// No push at all.
    fn find_silence(&mut self, now: Timestamp) {
        let seconds = now.since(Timestamp::ZERO).as_secs_f64();
        let period = self.grid.period();
        let sentence = format!(
            "not one push came in {seconds:.0} s, although --period says {period:?}: the server never pushes, or its \
             period or its words are others"
        );
        self.add_headline(format!("N{}.", &sentence[1..]));
        let is_lost = |one: &Violation| one.fault == Fault::Lost && is_about_pushes(one);
        if self.violations().iter().any(is_lost) {
            self.replace(Guarantee::G3, Fault::Lost, now, sentence, is_lost);
        }
    }

    /// The pushes come at another period than the stated one.
    fn find_other_period(&mut self, now: Timestamp) -> bool {
        let period = self.grid.period();
        let is_calm = |from, until| !self.grid.has_stalled_between(from, until);
        let Some(interval) = self.rhythms.interval(is_calm) else { return false };
        if interval.abs_diff(period) <= period / 10 || self.has_neighbours() || self.has_twins() {
            return false;
        }
        let sentence = format!(
            "pushes come every {:.2} s, and --period says {:.2} s",
            interval.as_secs_f64(),
            period.as_secs_f64()
        );
        self.add_headline(format!("P{}.", &sentence[1..]));
        self.replace(Guarantee::G7, Fault::Late, now, sentence, is_about_pushes);
        true
    }

    /// Whether pushes came in neighbouring cycles, to whichever clients: then a longer interval means lost pushes.
    fn has_neighbours(&self) -> bool {
        let cycles = self.grid.cycles();
        let neighbours = cycles.keys().filter(|cycle| cycles.contains_key(&(*cycle + 1))).count();
        let interval = self.rhythms.interval(|_, _| true).unwrap_or_default();
        interval > self.grid.period() * 3 / 2 && neighbours * 4 > cycles.len()
    }

    /// Connections get their pushes by different schedules.
    fn find_several_schedules(&mut self, uncertainty: Duration, now: Timestamp) {
        let period = self.grid.period();
        let sentence = match self.rhythms.schedule(period, uncertainty) {
            Schedule::One => return,
            Schedule::OfEachConnection => {
                "each connection has a timer of its own, which starts when it connects".to_owned()
            }
            Schedule::Several(schedules) => {
                let parts: Vec<String> = schedules
                    .iter()
                    .map(|(after, size)| format!("{size} connections {:.2} s into it", after.as_secs_f64()))
                    .collect();
                format!(
                    "the pushes of one period come by {} schedules: {}; several processes behind one port?",
                    schedules.len(),
                    parts.join(", ")
                )
            }
        };
        // Two pushes right after each other on one connection are no consequence of that.
        let is_consequence = |one: &Violation| is_about_pushes(one) && one.guarantee != Guarantee::G4;
        self.replace(Guarantee::G7, Fault::Late, now, sentence, is_consequence);
    }

    /// Reports a cause, and takes back its consequences, which the report then only counts.
    pub(super) fn replace(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        cause: String,
        mut is_consequence: impl FnMut(&Violation) -> bool,
    ) {
        let kept = std::mem::take(&mut self.keeper.score.violations);
        let observations = std::mem::take(&mut self.observations);
        let (mut counts, mut first) = (BTreeMap::new(), None);
        for (violation, seen) in kept.into_iter().zip(observations) {
            if is_consequence(&violation) {
                *counts.entry(violation.guarantee).or_insert(0_u64) += 1;
                first.get_or_insert(violation.at);
            } else {
                self.keeper.score.violations.push(violation);
                self.observations.push(seen);
            }
        }
        for (broken, count) in &mut counts {
            *count = self.keeper.take_back(*broken, *count);
        }
        counts.remove(&guarantee);
        let others = counted_by_guarantee(&counts);
        let cause = if others.is_empty() { cause } else { format!("{cause}; in consequence: {others}") };
        self.violate(guarantee, fault, first.unwrap_or(at), None, Observation::from(cause));
    }
}

/// Whether a violation is one of those that a wrong schedule or a very late push brings about.
fn is_about_pushes(violation: &Violation) -> bool {
    use Guarantee::{G1, G2, G3, G4, G5, G6, G7, G10};
    let is_fault = matches!(
        violation.fault,
        Fault::Lost | Fault::Late | Fault::Duplicated | Fault::WrongText | Fault::OutOfOrder
    );
    let is_promise = matches!(violation.guarantee, G1 | G2 | G3 | G4 | G6 | G7 | G10)
        || (violation.guarantee == G5 && violation.fault == Fault::OutOfOrder);
    // A push at the shutdown is judged by the instant at which its cycle was due.
    let is_farewell = violation.guarantee == Guarantee::G14 && violation.fault == Fault::Unexpected;
    (is_fault && is_promise) || is_farewell
}
