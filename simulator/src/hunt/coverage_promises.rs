//! Which hazards each built-in scenario promises to combine with which guarantees. A sweep in which a promised
//! combination never occurs proves less than it seems to.

use std::time::Duration;

use crate::oracle::coverage::{Coverage, Hazard};
use crate::oracle::guarantee::Guarantee;
use crate::scenario::Arm;
use crate::scenario::Scenario;

/// The coverage that a scenario promises for a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    scenario: &'static str,
    /// The smallest number of seeds for which the promise holds.
    pub seeds: u64,
    /// For each hazard, the numbers of the guarantees that it meets.
    cells: &'static [(Hazard, &'static [u8])],
}

/// The smallest number of clients for which a promise holds.
pub const CLIENTS: u32 = 60;

/// The shortest virtual time of a seed for which a promise holds.
pub const DURATION: Duration = Duration::from_secs(2 * 3600);

impl Promise {
    /// The promise of this scenario; `None` for a scenario from a file or one without a promise. The size of the
    /// sweep does not matter here: see [`Promise::holds`].
    pub fn of(scenario: &Scenario) -> Option<&'static Self> {
        let is_its_own = |promise: &&Self| scenario.file.is_none() && promise.scenario == scenario.name;
        PROMISES.iter().find(is_its_own)
    }

    /// Whether a sweep of this scenario with this many seeds is large enough for the promise to hold.
    pub fn holds(&self, scenario: &Scenario, seeds: u64) -> bool {
        let cycles = (scenario.duration.as_nanos() / scenario.server.period.as_nanos()) as u64;
        seeds >= self.seeds && scenario.clients >= CLIENTS && scenario.duration >= DURATION && cycles >= 24
    }

    /// Every promised pair of hazard and guarantee on this arm. The paused arm has no pair with G15, because its
    /// log lines do not name their client.
    pub fn cells(&self, arm: Arm) -> impl Iterator<Item = (Hazard, Guarantee)> {
        let of_row = |(hazard, numbers): &(Hazard, &'static [u8])| {
            let hazard = *hazard;
            numbers.iter().map(move |number| (hazard, Guarantee::ALL[usize::from(*number) - 1]))
        };
        let cells = self.cells.iter().flat_map(of_row);
        cells.filter(move |(_, guarantee)| arm == Arm::Core || *guarantee != Guarantee::G15)
    }

    /// The promised pairs that never occurred.
    pub fn broken(&self, arm: Arm, coverage: &Coverage) -> Vec<(Hazard, Guarantee)> {
        self.cells(arm).filter(|(hazard, guarantee)| coverage.get(*hazard, *guarantee) == 0).collect()
    }
}

/// The pairs that 40 seeds (240 for swarm) produced more than a hundred times. Impossible pairs are left out, such
/// as a reset connection and its next push.
const PROMISES: [Promise; 6] = [
    Promise { scenario: "churn", seeds: 20, cells: CHURN },
    Promise { scenario: "drain", seeds: 20, cells: DRAIN },
    Promise { scenario: "hostile", seeds: 20, cells: HOSTILE },
    Promise { scenario: "slow", seeds: 20, cells: SLOW },
    Promise { scenario: "storm", seeds: 20, cells: STORM },
    Promise { scenario: "swarm", seeds: 200, cells: SWARM },
];

const ALL: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Guarantees that still apply to a connection that reads, however slowly, and to the clients beside it.
const READING: &[u8] = &[2, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15];

/// Guarantees that apply to an ordinary connection.
const ORDINARY: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15];

/// Guarantees that apply to the server as a whole if no client breaks a rule.
const LAWFUL: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15];

/// Guarantees that still apply when the client of a connection is gone, and to the clients beside it.
const GONE: &[u8] = &[10, 11, 13];

/// Guarantees that still apply when a connection was reset.
const RESET: &[u8] = &[11, 13];

const CHURN: &[(Hazard, &[u8])] = &[
    (Hazard::Bandwidth, READING),
    (Hazard::Comeback, ORDINARY),
    (Hazard::HalfClose, &[6, 11]),
    (Hazard::HalfOpen, &[1, 2, 3, 4, 5, 6, 8, 10, 11, 13, 15]),
    (Hazard::ResetPeer, RESET),
    (Hazard::Slicer, ORDINARY),
    (Hazard::Timeout, READING),
    (Hazard::Vanish, GONE),
];

const DRAIN: &[(Hazard, &[u8])] = &[
    (Hazard::Bandwidth, READING),
    (Hazard::Comeback, ORDINARY),
    (Hazard::HalfOpen, &[1, 3, 4, 6, 13]),
    (Hazard::ResetPeer, &[11]),
    (Hazard::Slicer, ORDINARY),
    (Hazard::Timeout, READING),
    (Hazard::Vanish, GONE),
];

const HOSTILE: &[(Hazard, &[u8])] = &[
    (Hazard::Comeback, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14]),
    (Hazard::Offence, &[5, 6, 8, 9, 11, 12, 13]),
    (Hazard::Slicer, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14]),
];

const SLOW: &[(Hazard, &[u8])] =
    &[(Hazard::Bandwidth, READING), (Hazard::Slicer, ORDINARY), (Hazard::Timeout, READING)];

const STORM: &[(Hazard, &[u8])] = &[
    (Hazard::ClockJump, LAWFUL),
    (Hazard::Comeback, ORDINARY),
    (Hazard::Pause, LAWFUL),
    (Hazard::Restart, LAWFUL),
    (Hazard::Slicer, ORDINARY),
];

const SWARM: &[(Hazard, &[u8])] = &[
    (Hazard::Bandwidth, READING),
    (Hazard::ClockJump, ALL),
    (Hazard::Comeback, ALL),
    (Hazard::DaylightSaving, ALL),
    (Hazard::Flood, &[1, 3, 4, 5, 6, 8, 10, 11, 13, 14, 15]),
    (Hazard::HalfClose, &[5, 6, 8, 11, 13]),
    (Hazard::HalfOpen, &[1, 2, 3, 4, 5, 6, 8, 10, 11, 13, 15]),
    (Hazard::Offence, &[5, 6, 8, 9, 11, 12, 13, 15]),
    (Hazard::Pause, ALL),
    (Hazard::ResetPeer, RESET),
    (Hazard::Restart, ALL),
    (Hazard::Slicer, ALL),
    (Hazard::Timeout, READING),
    (Hazard::Vanish, GONE),
];

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(300);

    fn scenario(name: &str, clients: u32) -> Scenario {
        Scenario::named(name, clients, DURATION, PERIOD, 1).unwrap()
    }

    #[test]
    fn a_promise_holds_only_for_a_large_sweep_of_a_built_in_scenario() {
        let promise = Promise::of(&scenario("swarm", 60)).unwrap();
        assert!(promise.holds(&scenario("swarm", 60), 200));
        assert!(!promise.holds(&scenario("swarm", 60), 199));
        assert!(!promise.holds(&scenario("swarm", 59), 200));
        let of_a_file = Scenario { file: Some("swarm.toml".into()), ..scenario("swarm", 60) };
        assert!(Promise::of(&of_a_file).is_none());
    }

    #[test]
    fn the_paused_arm_promises_no_coverage_of_the_log() {
        let promise = Promise::of(&scenario("swarm", 60)).unwrap();
        let of_the_log =
            |arm| promise.cells(arm).filter(|(_, guarantee)| *guarantee == Guarantee::G15).count();
        assert!(of_the_log(Arm::Core) > 0);
        assert_eq!(of_the_log(Arm::Paused), 0);
    }

    #[test]
    fn every_pair_is_promised_once_and_broken_until_it_occurs() {
        for promise in &PROMISES {
            assert!(Promise::of(&scenario(promise.scenario, 60)).is_some(), "{}", promise.scenario);
            let mut coverage = Coverage::default();
            let cells: Vec<_> = promise.cells(Arm::Core).collect();
            assert_eq!(promise.broken(Arm::Core, &coverage), cells);
            for (hazard, guarantee) in &cells {
                coverage.cells[*hazard as usize][guarantee.index()] += 1;
            }
            assert_eq!(promise.broken(Arm::Core, &coverage), []);
            assert!(coverage.cells.iter().flatten().all(|count| *count <= 1), "{}", promise.scenario);
        }
    }
}
