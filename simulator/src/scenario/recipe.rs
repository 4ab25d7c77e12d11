//! The scenario of a command line: a built-in one or a file, and the values that options override.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::file::LoadError;
use crate::scenario::file as scenario_file;
use crate::scenario::limits::{MOST_CLIENTS, Misfit};
use crate::scenario::{DEFAULT_CLIENTS, DEFAULT_DURATION, DEFAULT_PERIOD, DEFAULT_SCENARIO, Scenario};
use crate::units::parse_count;

/// The source of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file at this path.
    File(PathBuf),
    /// The built-in scenario of this name.
    Named(String),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_file = text.contains(['/', '\\']) || text.ends_with(".toml");
        if is_file {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let names = Scenario::BUILT_IN.map(|(name, _)| name);
        if names.contains(&text) {
            return Ok(Self::Named(text.to_owned()));
        }
        Err(format!("expected one of {}, or a file whose name contains / or ends in .toml", names.join(", ")))
    }
}

/// The values of a built-in scenario that no option overrides. A file has its own values.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// The name of the built-in scenario.
    pub scenario: &'static str,
    /// The number of clients.
    pub clients: u32,
    /// The virtual time until the shutdown.
    pub duration: Duration,
    /// The time between two pushes.
    pub period: Duration,
}

impl Defaults {
    /// The defaults of `carillon-sim run`.
    pub const RUN: Self = Self {
        scenario: DEFAULT_SCENARIO,
        clients: DEFAULT_CLIENTS,
        duration: DEFAULT_DURATION,
        period: DEFAULT_PERIOD,
    };
}

/// The values of a scenario that options override.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// The number of clients.
    pub clients: Option<u32>,
    /// The virtual time until the shutdown.
    pub duration: Option<Duration>,
    /// The time between two pushes.
    pub period: Option<Duration>,
}

/// Makes the scenario of each seed.
#[derive(Clone, Debug)]
pub struct Recipe {
    base: Base,
    overrides: Overrides,
    defaults: Defaults,
}

#[derive(Clone, Debug)]
enum Base {
    File(Box<Scenario>),
    Named(String),
}

impl Recipe {
    /// Reads the scenario file, if `source` is a file. Without a source, the recipe uses the scenario of the defaults.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds no scenario.
    pub fn new(source: Option<&Source>, overrides: Overrides, defaults: Defaults) -> Result<Self, LoadError> {
        let base = match source {
            Some(Source::File(path)) => Base::File(Box::new(scenario_file::load(path)?)),
            Some(Source::Named(name)) => Base::Named(name.clone()),
            None => Base::Named(defaults.scenario.to_owned()),
        };
        Ok(Self { base, overrides, defaults })
    }

    /// The scenario of this seed.
    ///
    /// # Errors
    ///
    /// A sentence that names the wrong option.
    pub fn scenario(&self, seed: u64) -> Result<Scenario, String> {
        let (overrides, defaults) = (&self.overrides, &self.defaults);
        let scenario = match &self.base {
            Base::File(scenario) => {
                let mut scenario = scenario.as_ref().clone();
                scenario.clients = overrides.clients.unwrap_or(scenario.clients);
                scenario.duration = overrides.duration.unwrap_or(scenario.duration);
                scenario.server.period = overrides.period.unwrap_or(scenario.server.period);
                scenario
            }
            Base::Named(name) => {
                let clients = overrides.clients.unwrap_or(defaults.clients);
                let duration = overrides.duration.unwrap_or(defaults.duration);
                let period = overrides.period.unwrap_or(defaults.period);
                Scenario::named(name, clients, duration, period, seed)
                    .ok_or_else(|| format!("there is no scenario {name}"))?
            }
        };
        scenario.check().map_err(|misfit| as_option(&misfit))?;
        Ok(scenario)
    }
}

/// A number of clients, such as `10k`.
///
/// # Errors
///
/// A sentence that states what is allowed.
pub fn parse_clients(text: &str) -> Result<u32, String> {
    let clients = parse_count(text)?;
    if (1..=MOST_CLIENTS).contains(&clients) {
        Ok(clients)
    } else {
        Err("it must lie between 1 and 10m".to_owned())
    }
}

/// The misfit's sentence, with the option's name instead of the key.
fn as_option(misfit: &Misfit) -> String {
    let subject = match misfit.key {
        "clients" => "--clients",
        "duration" => "--for",
        "period" => "--period",
        key => key,
    };
    format!("{subject} {}", misfit.sentence)
}
