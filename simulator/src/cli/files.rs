//! Files for the tests of the command line.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use carillon_simulator::Scenario;
use carillon_simulator::report::{Run, Summary};
use carillon_simulator::{Arm, RunOptions, run_arm};
use serde_json::Value;

/// A directory that is removed at the end of the test.
pub(super) struct Files(PathBuf);

impl Files {
    /// An empty directory of this test.
    pub(super) fn new(test: &str) -> Self {
        let directory = env::temp_dir().join(format!("carillon-{}-{test}", process::id()));
        fs::create_dir_all(&directory).expect("room for a directory");
        Self(directory)
    }

    /// The path of a file of this name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The report of a small run, after a change.
    pub(super) fn run(&self, seed: u64, change: impl Fn(&mut Value)) -> PathBuf {
        let scenario = Scenario::day(5, Duration::from_secs(3600), Duration::from_secs(300));
        let outcome =
            run_arm(Arm::Core, &scenario, seed, RunOptions::default(), |_| ()).expect("sound limits");
        let run = Run { arm: Arm::Core, scenario: &scenario, seed, wall: Duration::from_secs(1) };
        let mut report = serde_json::to_value(Summary::new(&run, &outcome)).expect("a summary is an object");
        change(&mut report);
        let path = self.path(&format!("{seed}.json"));
        fs::write(&path, report.to_string()).expect("room for a file");
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        // If the directory cannot be removed, the system removes it later.
        drop(fs::remove_dir_all(path));
    }
}
