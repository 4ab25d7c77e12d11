//! Plays a script on any target, or on the reference server.

use crate::arms::{RunError, core_target, paused_target};
use crate::rng::Rng;
use crate::scenario::{Arm, Scenario};
use crate::script::Script;
use crate::trace::Trace;
use crate::world::target::Target;
use crate::world::{Outcome, World};

impl Outcome {
    /// The recorded run as a script that repeats it; `None` if the run was not recorded.
    pub fn script(&self, scenario: &Scenario, seed: u64, arm: Arm) -> Option<Script> {
        Some(Script::recorded(scenario, seed, arm, self.record.clone()?, &self.score))
    }
}

impl Script {
    /// Plays the script on this target.
    pub fn play_on<T: Target>(&self, target: T, trace: Trace) -> Outcome {
        let rng = Rng::new(self.seed);
        World::scripted(self.scenario.clone(), self.lines.clone(), target, &rng, trace).run(|_| ())
    }

    /// Plays the script on the reference server, on the script's arm.
    ///
    /// # Errors
    ///
    /// Limits that the server refuses, and an arm that cannot run the scenario.
    pub fn play(&self, trace: Trace) -> Result<Outcome, RunError> {
        let rng = Rng::new(self.seed);
        Ok(match self.arm {
            Arm::Core => self.play_on(core_target(&self.scenario, &rng)?, trace),
            Arm::Paused => self.play_on(paused_target(&self.scenario, &rng)?, trace),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::arms::{RunOptions, run_arm};
    use crate::oracle::guarantee::Guarantee;
    use crate::oracle::score::Fault;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_oracle_judges_a_played_script() {
        let script: Script = "\
name = \"silence\"
clients = 2
duration = \"15m\"
---
seed 7
at 0.5s client 0 connects latency 0.02s
at 290s client 0 says unsubscribe, fence-1
"
        .parse()
        .unwrap();
        let outcome = script.play(Trace::default()).unwrap();
        assert_eq!(outcome.score.violations, []);
        assert!(outcome.score.tallies[Guarantee::G2.index()].exercised > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_recorded_run_reads_back_and_plays_with_the_same_digest(seed: u64, paused: bool) {
            let arm = if paused { Arm::Paused } else { Arm::Core };
            let scenario = Scenario::named("swarm", 8, 30 * MINUTE, 5 * MINUTE, seed).unwrap();
            let options = RunOptions { records: true, ..RunOptions::default() };
            let outcome = run_arm(arm, &scenario, seed, options, |_| ()).unwrap();
            let mut script = outcome.script(&scenario, seed, arm).unwrap();
            script.breaks = Some((Guarantee::G14, Fault::OutOfOrder));
            let read: Script = script.to_text().unwrap().parse().unwrap();
            prop_assert_eq!(format!("{script:?}"), format!("{read:?}"));
            let again = read.play(Trace::default()).unwrap();
            prop_assert_eq!(outcome.score.deliveries, again.score.deliveries);
        }
    }
}
