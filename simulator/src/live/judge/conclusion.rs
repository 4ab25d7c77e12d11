//! Conclusions: what the losses of a cycle mean, and what only the whole run can show.

use std::time::Duration;

use carillon_server::Timestamp;

use super::facts::{Audit, Late, Lost};
use super::{Judge, Observation, seconds};
use crate::live::clock::fit::Fit;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// The fewest clients that lose their push because others do not read.
const MANY: u64 = 5;

impl Judge {
    /// Concludes every cycle before `cycle`.
    pub(crate) fn conclude(&mut self, cycle: u64) {
        let later = self.audits.split_off(&cycle);
        let audits = std::mem::replace(&mut self.audits, later);
        for (cycle, audit) in audits {
            self.conclude_cycle(cycle, audit);
        }
    }

    fn conclude_cycle(&mut self, cycle: u64, mut audit: Audit) {
        if self.tally(Guarantee::G4).violations > 0 {
            // If a cycle has several pushes, it is unknown which one is missing, unless none arrives at all.
            audit.lost = audit.lost_for_long;
            audit.kept.retain(|kept| kept.is_long);
        }
        if self.grid.is_excused(cycle) {
            // The stall became known after the losses were counted.
            return;
        }
        if audit.lost == 0 {
            if audit.is_burdened && audit.served > 0 {
                self.exercise(Guarantee::G10);
            }
            return;
        }
        let at = self.grid.due(cycle);
        if audit.served == 0 && !audit.is_alive {
            let sentence = format!(
                "the cycle due at {} was skipped by a server that answered no client at the time",
                seconds(at)
            );
            return self.add_doubt(Guarantee::G3, sentence);
        }
        if self.is_starved(at + self.grid.period()) {
            let sentence = format!(
                "{} clients did not get the push due at {} in its period, in which the server waited for a processor",
                audit.lost,
                seconds(at)
            );
            return self.add_doubt(Guarantee::G3, sentence);
        }
        self.lost += audit.lost;
        self.report_lost(&audit, at);
        if !audit.is_burdened {
            self.has_lost_unburdened = true;
        } else if self.is_by_burden(&audit, at) {
            let lost = audit.lost;
            let detail = format!(
                "{lost} clients did not get the push due at {} while other clients did not read",
                seconds(at)
            );
            self.violate(Guarantee::G10, Fault::Lost, at, None, detail);
        }
    }

    /// Reports each lost push of a cycle under the guarantee that it breaks.
    fn report_lost(&mut self, audit: &Audit, at: Timestamp) {
        let is_default_broken = audit.lost_untouched > 1 && audit.served_untouched == 0 && audit.served > 0;
        // A binary message is the cause only if no other client lost its push.
        let is_binary = audit.served > 0 && audit.kept.iter().all(|kept| kept.is_binary);
        for kept in &audit.kept {
            let guarantee = match () {
                () if kept.is_binary && is_binary => Guarantee::G9,
                () if is_default_broken && kept.is_untouched => Guarantee::G1,
                () => Guarantee::G3,
            };
            let seen = kept.describe(at, is_binary).with_story(self.rhythms.story(kept.client));
            self.violate(guarantee, Fault::Lost, at, Some(kept.client), seen);
        }
        let unkept = audit.lost.saturating_sub(audit.kept.len() as u64);
        self.keeper.count_more(Guarantee::G3, unkept);
    }

    /// Whether the clients that do not read are the likely cause of the losses: many clients lost their push, nothing
    /// was lost before, and the server was not stopped meanwhile.
    fn is_by_burden(&self, audit: &Audit, due: Timestamp) -> bool {
        let are_many = audit.lost >= MANY && audit.lost * 4 >= audit.lost + audit.served;
        let since = self.burdened_since.unwrap_or(due);
        let was_stopped = self.grid.has_stalled_between(since, due);
        are_many && !was_stopped && !self.has_lost_unburdened && self.tally(Guarantee::G3).exercised > 0
    }

    /// Judges the pushes that were more than half a period late (G10). If the harness itself was delayed, the cause
    /// is undecided.
    pub(crate) fn conclude_late(&mut self, own_delay: Duration, now: Timestamp) {
        let Late { longest, count, is_starved, .. } = self.late;
        if count == 0 || self.tally(Guarantee::G7).violations > 0 || self.twins > 0 {
            // A wrong grid is the cause, or there is none.
            return;
        }
        let sentence = format!("{count} pushes came more than half a period late, up to {longest:.1?}");
        if own_delay > self.grid.period() / 50 {
            let sentence = format!("{sentence}, and the harness itself was woken up to {own_delay:.1?} late");
            return self.add_doubt(Guarantee::G10, sentence);
        }
        if is_starved {
            let sentence = format!("{sentence}, and the server waited for a processor meanwhile");
            return self.add_doubt(Guarantee::G10, sentence);
        }
        if self.late.cycles.iter().all(|cycle| self.is_late_for_all(*cycle)) {
            let sentence = format!("{sentence}, and so did those of all other clients");
            return self.violate(Guarantee::G7, Fault::Late, now, None, sentence);
        }
        self.violate(Guarantee::G10, Fault::Late, now, None, sentence);
    }

    /// Whether even the first push of a cycle was more than half a period late.
    fn is_late_for_all(&self, cycle: u64) -> bool {
        let (due, half) = (self.grid.due(cycle), self.grid.period() / 2);
        self.grid.cycles().get(&cycle).is_some_and(|seen| seen.first.at.since(due) > half)
    }

    /// Judges the grid by the whole run (G7).
    pub(crate) fn conclude_grid(&mut self, uncertainty: Duration, now: Timestamp) {
        if self.tally(Guarantee::G4).violations > 0 {
            let sentence = "clients got several pushes a cycle, so the grid cannot be determined".to_owned();
            return self.add_doubt(Guarantee::G7, sentence);
        }
        let stalls: Vec<_> = self.grid.observed_stalls().collect();
        for (from, until) in stalls {
            let sentence = format!(
                "from {} on the server answered nothing on any connection for {:.1?}",
                seconds(from),
                until.since(from)
            );
            self.add_finding(Guarantee::G7, sentence);
        }
        match self.grid.fit(uncertainty) {
            Fit::Short => {}
            Fit::NoGrid { at } => {
                let detail = "no grid explains the pushes: some are more than half a period late".to_owned();
                self.violate(Guarantee::G7, Fault::Late, at, None, detail);
            }
            Fit::OnGrid { latest, uncertainty } => {
                let cycles = self.grid.cycles().len();
                (0..cycles).for_each(|_| self.exercise(Guarantee::G7));
                self.add_finding(
                    Guarantee::G7,
                    format!("{cycles} cycles, the first push of each at most {latest:.1?} behind the grid; a drift below {uncertainty:.1?} in all could not have been seen"),
                );
            }
            Fit::Faint { by, is_later, cycles_needed } => {
                let sentence = format!(
                    "the cycles of the second half came {by:.1?} {} on the grid than those of the first: too little to \
                     be certain here; --cycles {cycles_needed} would show a drift",
                    direction(is_later)
                );
                self.leave_undecided(Guarantee::G7, sentence);
            }
            Fit::Moved { by, is_later } => {
                let direction = direction(is_later);
                let detail = format!(
                    "every cycle of the second half came at least {by:.1?} {direction} on the grid than any of the first"
                );
                self.violate(Guarantee::G7, Fault::Late, now, None, detail);
            }
        }
    }
}

fn direction(is_later: bool) -> &'static str {
    if is_later { "later" } else { "earlier" }
}

impl Lost {
    fn describe(&self, due: Timestamp, is_binary: bool) -> Observation {
        let (due, since) = (seconds(due), seconds(self.since));
        let outcome = if is_binary {
            format!(
                "no push of the cycle due at {due}, after `unsubscribe` as a binary message, which is no command"
            )
        } else {
            format!("no push of the cycle due at {due}; subscribed, and that settled, since {since}")
        };
        Observation::of(self.role, outcome)
    }
}
