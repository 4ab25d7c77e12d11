//! The smallest script so far, and the one question that all of shrinking asks: does this one break it, too?

use std::collections::BTreeSet;
use std::time::Duration;

use carillon_server::Timestamp;

use super::shrunk::Shrunk;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Violation};
use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::script::verb::Verb;
use crate::trace::Digest;
use crate::world::Outcome;

/// A run ends with a whole second.
const GRAIN: Duration = Duration::from_secs(1);

pub(super) struct Search<'a> {
    /// The smallest script that breaks the promise.
    pub(super) best: Script,
    /// How it breaks it.
    pub(super) violation: Violation,
    /// Whether another way of breaking the same promise will do.
    pub(super) accepts_any_fault: bool,
    /// There is no time left.
    pub(super) is_stopped: bool,
    should_stop: &'a mut dyn FnMut() -> bool,
    run: &'a mut dyn FnMut(&Script) -> Outcome,
    /// Digests of the scripts that were tried.
    tried: BTreeSet<u64>,
    runs: u32,
}

impl<'a> Search<'a> {
    /// `None` if the promise does not break in what was recorded.
    pub(super) fn start(
        recorded: Script,
        wanted: (Guarantee, Fault),
        should_stop: &'a mut dyn FnMut() -> bool,
        run: &'a mut dyn FnMut(&Script) -> Outcome,
    ) -> Option<Self> {
        let script = Script { breaks: Some(wanted), ..recorded };
        let violation = script.violation_in(&run(&script).score)?.clone();
        let (tried, best) = (BTreeSet::new(), script.clone());
        let mut search = Self {
            best,
            violation: violation.clone(),
            accepts_any_fault: false,
            is_stopped: false,
            should_stop,
            run,
            tried,
            runs: 1,
        };
        search.accept(script, violation);
        Some(search)
    }

    pub(super) fn finish(self) -> Shrunk {
        let Self { best, violation, runs, is_stopped, .. } = self;
        Shrunk { script: best, violation, runs, is_smallest: !is_stopped }
    }

    /// Whether the promise breaks in this script, too, within the time that it took so far; then it is the best.
    pub(super) fn attempt(&mut self, mut candidate: Script) -> bool {
        if !self.breaks_in_drain() {
            candidate.end_at(self.best.scenario.duration);
        }
        self.attempt_whole(candidate)
    }

    /// The same for a script that may take longer.
    pub(super) fn attempt_whole(&mut self, candidate: Script) -> bool {
        if self.is_stopped || !is_possible(&candidate) || !self.tried.insert(digest(&candidate)) {
            return false;
        }
        self.is_stopped = (self.should_stop)();
        if self.is_stopped {
            return false;
        }
        self.runs += 1;
        let outcome = (self.run)(&candidate);
        match self.find(&outcome) {
            Some(violation) => {
                self.accept(candidate, violation);
                true
            }
            None => false,
        }
    }

    /// Attempts what `change` makes of the best script.
    pub(super) fn attempt_change(&mut self, change: impl FnOnce(&mut Script)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.attempt(candidate)
    }

    /// Whether the promise breaks while the server shuts down, which then belongs to the script.
    pub(super) fn breaks_in_drain(&self) -> bool {
        self.violation.at > Timestamp::ZERO + self.best.scenario.duration
    }

    fn find(&self, outcome: &Outcome) -> Option<Violation> {
        let exact = self.best.violation_in(&outcome.score);
        let (wanted, _) = self.best.breaks?;
        let similar = || outcome.score.violations.iter().find(|violation| violation.guarantee == wanted);
        exact.or_else(|| similar().filter(|_| self.accepts_any_fault)).cloned()
    }

    /// Nothing that comes behind the violation can have to do with it, so the run need not last longer.
    fn accept(&mut self, script: Script, violation: Violation) {
        self.best = script;
        self.best.breaks = Some((violation.guarantee, violation.fault));
        self.violation = violation;
        if !self.breaks_in_drain() {
            let grains = self.violation.at.as_nanos().div_ceil(GRAIN.as_nanos() as u64);
            self.best.end_at(Duration::from_nanos(grains * GRAIN.as_nanos() as u64));
        }
        self.tried.insert(digest(&self.best));
    }
}

impl Script {
    /// Ends it there, if it lasts longer; no run is shorter than a period.
    pub(super) fn end_at(&mut self, end: Duration) {
        let end = end.max(self.scenario.server.period);
        if end < self.scenario.duration {
            self.scenario.duration = end;
            self.lines.retain(|line| line.at() <= Timestamp::ZERO + end);
        }
    }
}

/// Whether it can be run, and written to a file.
fn is_possible(script: &Script) -> bool {
    let longest = script.scenario.links.longest_way();
    let fits = |line: &ScriptLine| match line {
        ScriptLine::Client { verb: Verb::Connect(plan), .. } => plan.latency + 2 * plan.jitter <= longest,
        _ => true,
    };
    script.scenario.check().is_ok() && script.lines.iter().all(fits)
}

fn digest(script: &Script) -> u64 {
    Digest::of(format!("{:?}{:?}", script.scenario, script.lines).as_bytes())
}
