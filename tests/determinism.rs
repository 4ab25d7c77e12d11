//! Determinism: a seed decides a run, in this process and in any other.

use std::process::Command;

use carillon_simulator::{Outcome, Scenario};

use crate::arms::{day, on_the_core_arm, on_the_paused_arm};

type Arm = fn(&Scenario, u64) -> Outcome;

const ARMS: [(&str, Arm); 2] = [("core", on_the_core_arm), ("paused", on_the_paused_arm)];

/// The variable that tells a copy of this program to print the digests only.
const REQUEST: &str = "CARILLON_TEST_DIGESTS";
const MARK: &str = "digests:";

#[test]
fn the_same_seed_gives_the_same_digests_within_one_process() {
    for (name, arm) in ARMS {
        let (first, second) = (arm(&day(), 1), arm(&day(), 1));
        assert_eq!((first.digest, first.events), (second.digest, second.events), "{name}");
        assert_eq!(first.observed, second.observed, "{name}");
    }
}

#[test]
fn another_seed_gives_another_digest() {
    for (name, arm) in ARMS {
        assert_ne!(arm(&day(), 1).digest, arm(&day(), 2).digest, "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_digests_in_two_processes() {
    assert_eq!(digests_of_another_process(), digests_of_another_process());
}

/// Not a test: the test above starts it in a separate process.
#[test]
fn the_digests_of_a_day() {
    if std::env::var_os(REQUEST).is_some() {
        println!("{MARK}{}", digests());
    }
}

/// All figures of a run that must not differ. Violations are left out, as these runs have none.
fn digests() -> String {
    let of_arm = |(name, arm): (&str, Arm)| {
        let outcome = arm(&day(), 1);
        let (digest, observed, events) = (outcome.digest, outcome.observed, outcome.events);
        format!(" {name} {digest:016x} {observed:016x} {events} {:?}", outcome.score.tallies)
    };
    ARMS.map(of_arm).concat()
}

/// Runs this program again, filtered to [`the_digests_of_a_day`].
fn digests_of_another_process() -> String {
    let program = std::env::current_exe().expect("a running program has a path");
    let output = Command::new(program)
        .args(["--exact", "determinism::the_digests_of_a_day", "--nocapture"])
        .env(REQUEST, "1")
        .output()
        .expect("this program can be started again");
    let output = String::from_utf8(output.stdout).expect("test output is text");
    let line = output.lines().find_map(|line| line.split_once(MARK));
    line.unwrap_or_else(|| panic!("no digests in {output:?}")).1.to_owned()
}
