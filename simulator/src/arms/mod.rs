//! Runs a scenario with a seed on one of the arms.

pub(crate) mod core;
pub mod paused;
mod play;

use std::fmt;
use std::time::Duration;

use carillon_server::{ConfigError, Timestamp};

use crate::arms::core::CoreTarget;
use crate::arms::paused::PausedTarget;
#[cfg(feature = "live")]
use crate::arms::paused::ShellService;
use crate::rng::Rng;
use crate::scenario::{Arm, Scenario};
use crate::trace::Trace;
use crate::world::target::Target;
use crate::world::{Outcome, World};

/// Why a run has no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The server refuses the scenario's limits, because it cannot keep its promises with them.
    Config(ConfigError),
    /// The reference server's shell is not compiled in: enable the feature `live`, or run on the core arm.
    NoShell,
    /// The runtime of the paused arm could not be built.
    Runtime(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the server refuses the scenario's limits: {error}"),
            Self::NoShell => f.write_str(
                "the reference server runs on the paused arm only with the feature \"live\" of carillon-simulator",
            ),
            Self::Runtime(error) => write!(f, "the runtime of the paused arm could not be built: {error}"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::NoShell | Self::Runtime(_) => None,
        }
    }
}

impl From<ConfigError> for RunError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Options that do not change the course of a run.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// What the run writes to the trace.
    pub trace: Trace,
    /// Whether to record a script of the run.
    pub records: bool,
    /// The virtual time at which to stop, without a shutdown; `None` for a whole run.
    pub stops_at: Option<Timestamp>,
}

/// Runs `scenario` to its end; `seed` decides everything in it. Calls `progress` with the virtual time about once per
/// period.
///
/// # Errors
///
/// Limits that the server refuses, and an arm that cannot run the scenario.
pub fn run_arm(
    arm: Arm,
    scenario: &Scenario,
    seed: u64,
    options: RunOptions,
    progress: impl FnMut(Duration),
) -> Result<Outcome, RunError> {
    let rng = Rng::new(seed);
    match arm {
        Arm::Core => {
            let target = core_target(scenario, &rng)?;
            Ok(run_target(scenario, target, &rng, options, progress))
        }
        Arm::Paused => {
            let target = paused_target(scenario, &rng)?;
            Ok(run_target(scenario, target, &rng, options, progress))
        }
    }
}

/// The reference server's core with this scenario's configuration.
///
/// # Errors
///
/// Limits that the server refuses.
pub fn core_target(scenario: &Scenario, rng: &Rng) -> Result<CoreTarget, RunError> {
    let server = rng.fork("server");
    Ok(CoreTarget::new(&scenario.server, scenario.zone.clone(), scenario.shards, server)?)
}

/// The reference server's shell with this scenario's configuration.
///
/// # Errors
///
/// Limits that the server refuses, or a runtime that cannot be built.
#[cfg(feature = "live")]
pub fn paused_target(scenario: &Scenario, rng: &Rng) -> Result<PausedTarget, RunError> {
    scenario.server.validate()?;
    let (config, zone, shards) = (scenario.server.clone(), scenario.zone.clone(), scenario.shards);
    let server = rng.fork("server");
    let start = move |clock| {
        ShellService::start(&config, zone.clone(), shards, server.clone(), clock)
            .expect("the configuration was validated")
    };
    PausedTarget::new(scenario.wall_origin, start).map_err(|error| RunError::Runtime(error.to_string()))
}

/// The reference server's shell, which is not compiled in.
///
/// # Errors
///
/// [`RunError::NoShell`], always.
#[cfg(not(feature = "live"))]
pub fn paused_target(_scenario: &Scenario, _rng: &Rng) -> Result<PausedTarget, RunError> {
    Err(RunError::NoShell)
}

/// Runs `scenario` on any target.
pub(crate) fn run_target<T: Target>(
    scenario: &Scenario,
    target: T,
    rng: &Rng,
    options: RunOptions,
    progress: impl FnMut(Duration),
) -> Outcome {
    let world = World::new(scenario.clone(), target, rng, options.trace);
    let world = if options.records { world.recording() } else { world };
    match options.stops_at {
        Some(at) => world.stopping_at(at).run(progress),
        None => world.run(progress),
    }
}
