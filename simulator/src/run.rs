//! One run: a scenario and a seed, on one of the arms.

use std::fmt;
use std::time::Duration;

use carillon_server::ConfigError;

use crate::core_arm::CoreTarget;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::{Outcome, World};

/// Where a scenario runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arm {
    /// The hubs and the announcer as values: no sockets, no tasks, no runtime.
    #[default]
    Core,
    /// The shell, over in-memory streams on a paused runtime.
    Paused,
}

impl Arm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Core, Self::Paused];

    /// The word for it on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The server cannot keep its promises with this scenario's limits; change them.
    Config(ConfigError),
    /// This arm cannot run the scenario; take another one.
    Unsupported(Arm),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the server refuses the scenario's limits: {error}"),
            Self::Unsupported(arm) => write!(f, "the {arm} arm cannot run this scenario yet"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Unsupported(_) => None,
        }
    }
}

impl From<ConfigError> for RunError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Runs `scenario` to its end; everything in it is decided by `seed`. `progress` is told the virtual time now and then.
///
/// # Errors
///
/// Limits that the server refuses, and an arm that cannot run the scenario.
pub fn run_arm(
    arm: Arm,
    scenario: &Scenario,
    seed: u64,
    trace: Trace,
    progress: impl FnMut(Duration),
) -> Result<Outcome, RunError> {
    let rng = Rng::new(seed);
    match arm {
        Arm::Core => {
            let server = rng.fork("server");
            let target = CoreTarget::new(&scenario.server, scenario.zone.clone(), scenario.shards, server)?;
            Ok(World::new(scenario.clone(), target, &rng, trace).run(progress))
        }
        Arm::Paused => Err(RunError::Unsupported(arm)),
    }
}
