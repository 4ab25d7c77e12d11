//! The smallest script so far, and the test of a candidate: does the same guarantee break in it?

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

/// Runs end on whole seconds.
const GRAIN: Duration = Duration::from_secs(1);

/// A search for the smallest script.
pub(super) struct Search<'a> {
    /// The smallest script so far in which the guarantee breaks.
    pub(super) best: Script,
    /// The violation in `best`.
    pub(super) violation: Violation,
    /// Whether another fault of the same guarantee is accepted.
    pub(super) accepts_any_fault: bool,
    /// Whether the time is up.
    pub(super) is_stopped: bool,
    should_stop: &'a mut dyn FnMut() -> bool,
    run: &'a mut dyn FnMut(&Script) -> Outcome,
    /// Digests of the scripts that were already tried.
    tried: BTreeSet<u64>,
    runs: u32,
}

impl<'a> Search<'a> {
    /// Returns `None` if the guarantee does not break in the recorded script.
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

    /// Whether the guarantee breaks in `candidate` within the duration of the best script. If so, `candidate`
    /// becomes the best.
    pub(super) fn attempt(&mut self, mut candidate: Script) -> bool {
        if !self.breaks_in_drain() {
            candidate.end_at(self.best.scenario.duration);
        }
        self.attempt_whole(candidate)
    }

    /// The same for a candidate that may last longer.
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
        match self.matching_violation(&outcome) {
            Some(violation) => {
                self.accept(candidate, violation);
                true
            }
            None => false,
        }
    }

    /// Attempts a copy of the best script to which `change` was applied.
    pub(super) fn attempt_change(&mut self, change: impl FnOnce(&mut Script)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.attempt(candidate)
    }

    /// Whether the guarantee breaks while the server shuts down. Then the shutdown belongs to the script.
    pub(super) fn breaks_in_drain(&self) -> bool {
        self.violation.at > Timestamp::ZERO + self.best.scenario.duration
    }

    fn matching_violation(&self, outcome: &Outcome) -> Option<Violation> {
        let exact = self.best.violation_in(&outcome.score);
        let (wanted, _) = self.best.breaks?;
        let similar = || outcome.score.violations.iter().find(|violation| violation.guarantee == wanted);
        exact.or_else(|| similar().filter(|_| self.accepts_any_fault)).cloned()
    }

    /// Makes `script` the best. Nothing after the violation can be its cause, so the script ends there.
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
    /// Ends the script at `end` if it lasts longer, but never before one period.
    pub(super) fn end_at(&mut self, end: Duration) {
        let end = end.max(self.scenario.server.period);
        if end < self.scenario.duration {
            self.scenario.duration = end;
            self.lines.retain(|line| line.at() <= Timestamp::ZERO + end);
        }
    }
}

/// Whether the script can be run and written to a file.
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
