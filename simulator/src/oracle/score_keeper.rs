//! Counts exercises and violations, and keeps the first violations. The simulated arms and the live arm use it.

use carillon_server::Timestamp;

use crate::oracle::clause::{Clause, Lapse};
use crate::oracle::coverage::{Hazard, Met};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Score, Tally, Violation};

/// How many violations are kept with their details. All are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// The number kept of each guarantee, even if `in_all` is reached.
    pub(crate) of_each: usize,
    /// Up to this number every violation is kept, of any guarantee.
    pub(crate) in_all: usize,
}

/// The most details of one lapse that are kept.
const DETAILS: usize = 40;

/// The score of a run that has not ended.
#[derive(Debug)]
pub(crate) struct ScoreKeeper {
    pub(crate) score: Score,
    retention: Retention,
    /// The number of violations kept of each guarantee, by [`Guarantee::index`].
    kept: [usize; 15],
    /// The hazards that the server as a whole has met.
    weather: Met,
}

impl ScoreKeeper {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { score: Score::new(), retention, kept: [0; 15], weather: Met::default() }
    }

    /// Notes that the server as a whole meets a hazard. From now on every exercise counts under it.
    pub(crate) fn meet(&mut self, hazard: Hazard) {
        self.weather.add(hazard);
    }

    pub(crate) fn tally(&self, guarantee: Guarantee) -> Tally {
        self.score.tallies[guarantee.index()]
    }

    /// Notes that the server kept a guarantee that it could have broken here.
    pub(crate) fn exercise(&mut self, guarantee: Guarantee, met: Met) {
        self.score.tallies[guarantee.index()].exercised += 1;
        let met = met.union(self.weather);
        if !met.is_empty() {
            self.score.coverage.count(met, guarantee);
        }
    }

    /// Notes a violation; `client` is `None` where it concerns the server as a whole.
    pub(crate) fn violate(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        client: Option<u32>,
        detail: impl FnOnce() -> String,
    ) {
        self.score.tallies[guarantee.index()].violations += 1;
        let kept = &mut self.kept[guarantee.index()];
        if *kept < self.retention.of_each || self.score.violations.len() < self.retention.in_all {
            *kept += 1;
            self.score.violations.push(Violation { guarantee, fault, at, client, detail: detail() });
        }
    }

    /// Notes that the server departed from a clause without harm.
    pub(crate) fn lapse(&mut self, clause: Clause, detail: String) {
        let lapses = &mut self.score.lapses;
        let place = lapses.iter().position(|lapse| lapse.clause == clause).unwrap_or_else(|| {
            lapses.push(Lapse { clause, count: 0, details: Vec::new() });
            lapses.len() - 1
        });
        let lapse = &mut lapses[place];
        lapse.count += 1;
        if lapse.details.len() < DETAILS && !lapse.details.contains(&detail) {
            lapse.details.push(detail);
        }
    }

    /// Notes something about the server that is neither right nor wrong, once.
    pub(crate) fn remark(&mut self, sentence: &str) {
        if self.score.remarks.iter().all(|known| known != sentence) {
            self.score.remarks.push(sentence.to_owned());
        }
    }

    /// Takes back violations that another one explains, and returns their number: `kept` of them, or all if no other
    /// violation of this guarantee is kept.
    #[cfg(feature = "live")]
    pub(crate) fn take_back(&mut self, guarantee: Guarantee, kept: u64) -> u64 {
        let is_other = |violation: &Violation| violation.guarantee == guarantee;
        let has_others = self.score.violations.iter().any(is_other);
        let tally = &mut self.score.tallies[guarantee.index()];
        let taken = if has_others { kept.min(tally.violations) } else { tally.violations };
        tally.violations -= taken;
        self.kept[guarantee.index()] -= (kept as usize).min(self.kept[guarantee.index()]);
        taken
    }

    /// Counts violations of which similar ones are already kept.
    #[cfg(feature = "live")]
    pub(crate) fn count_more(&mut self, guarantee: Guarantee, violations: u64) {
        self.score.tallies[guarantee.index()].violations += violations;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_violations_of_each_guarantee_are_kept_after_many_of_another() {
        let mut keeper = ScoreKeeper::new(Retention { of_each: 2, in_all: 5 });
        let mut break_it = |guarantee, times: usize| {
            for _ in 0..times {
                keeper.violate(guarantee, Fault::Lost, Timestamp::ZERO, None, String::new);
            }
        };
        break_it(Guarantee::G3, 9);
        break_it(Guarantee::G4, 3);
        let kept =
            |guarantee| keeper.score.violations.iter().filter(|one| one.guarantee == guarantee).count();
        assert_eq!((kept(Guarantee::G3), kept(Guarantee::G4)), (5, 2));
        assert_eq!(keeper.tally(Guarantee::G3).violations, 9);
    }

    #[test]
    fn a_hazard_of_the_server_counts_for_every_connection() {
        let mut keeper = ScoreKeeper::new(Retention { of_each: 1, in_all: 1 });
        keeper.exercise(Guarantee::G3, Met::default());
        keeper.meet(Hazard::Pause);
        keeper.exercise(Guarantee::G3, Met::default());
        assert_eq!(keeper.score.coverage.get(Hazard::Pause, Guarantee::G3), 1);
        assert_eq!(keeper.tally(Guarantee::G3).exercised, 2);
    }
}
