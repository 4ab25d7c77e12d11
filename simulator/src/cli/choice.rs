//! The options that choose a scenario, alike for every subcommand that runs one.

use std::path::PathBuf;
use std::time::Duration;

use carillon_simulator::run::Arm;
use carillon_simulator::scenario_file::{self, LoadError};
use carillon_simulator::units::{parse_count, parse_span};
use carillon_simulator::{MOST_CLIENTS, Misfit, Scenario};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Failure;

#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What the clients do: a name of `carillon-sim list`, or a TOML file (with a / in its name, or .toml at its end)
    #[arg(long, value_name = "NAME|FILE", value_parser = parse_source)]
    pub(super) scenario: Option<Source>,

    /// How many clients there are, such as 500, 10k or 1m
    #[arg(long, value_name = "COUNT", value_parser = parse_clients)]
    pub(super) clients: Option<u32>,

    /// Virtual time until the server is told to shut down, such as 90s, 24h or 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    pub(super) duration: Option<Duration>,

    /// Time between two pushes
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub(super) period: Option<Duration>,

    /// Where the server runs: its core as a value, or the whole of it on a paused runtime
    #[arg(long, value_name = "ARM", default_value = "core", value_parser = arm_parser())]
    pub(super) arm: Arm,
}

/// Where a scenario comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file of that path.
    File(PathBuf),
    /// The built-in one of that name.
    Named(String),
}

/// What a built-in scenario is like unless somebody says otherwise; a file has its own values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) scenario: &'static str,
    pub(crate) clients: u32,
    pub(crate) duration: Duration,
    pub(crate) period: Duration,
}

impl Choice {
    /// What is chosen, a file read; only the seed is left open.
    pub(crate) fn recipe(&self, defaults: &Defaults) -> Result<Recipe, Failure> {
        let base = match &self.scenario {
            Some(Source::File(path)) => Base::File(Box::new(load(path)?)),
            Some(Source::Named(name)) => Base::Named(name.clone()),
            None => Base::Named(defaults.scenario.to_owned()),
        };
        Ok(Recipe { base, choice: self.clone(), defaults: *defaults })
    }
}

/// The scenario of a file.
pub(super) fn load(path: &std::path::Path) -> Result<Scenario, Failure> {
    scenario_file::load(path).map_err(|error| match error {
        LoadError::Io(..) => Failure::Impossible(error.to_string()),
        LoadError::Mistake(..) => Failure::Unreadable(error.to_string()),
    })
}

/// What makes a scenario of a seed.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    base: Base,
    choice: Choice,
    defaults: Defaults,
}

#[derive(Clone, Debug)]
enum Base {
    File(Box<Scenario>),
    Named(String),
}

impl Recipe {
    /// The scenario of this seed, or the sentence that says which option makes no sense.
    pub(crate) fn scenario(&self, seed: u64) -> Result<Scenario, String> {
        let (choice, defaults) = (&self.choice, &self.defaults);
        let scenario = match &self.base {
            Base::File(scenario) => {
                let mut scenario = scenario.as_ref().clone();
                scenario.clients = choice.clients.unwrap_or(scenario.clients);
                scenario.duration = choice.duration.unwrap_or(scenario.duration);
                scenario.server.period = choice.period.unwrap_or(scenario.server.period);
                scenario
            }
            Base::Named(name) => {
                let clients = choice.clients.unwrap_or(defaults.clients);
                let duration = choice.duration.unwrap_or(defaults.duration);
                let period = choice.period.unwrap_or(defaults.period);
                Scenario::named(name, clients, duration, period, seed)
                    .ok_or_else(|| format!("there is no scenario {name}"))?
            }
        };
        scenario.check().map_err(|misfit| as_option(&misfit))?;
        Ok(scenario)
    }
}

/// The sentence, with the option's name in the place of the key's.
fn as_option(misfit: &Misfit) -> String {
    let subject = match misfit.key {
        "clients" => "--clients",
        "duration" => "--for",
        "period" => "--period",
        key => key,
    };
    format!("{subject} {}", misfit.sentence)
}

/// A name, or the path of a file.
pub(super) fn parse_source(text: &str) -> Result<Source, String> {
    let is_file = text.contains(['/', '\\']) || text.ends_with(".toml");
    if is_file {
        return Ok(Source::File(PathBuf::from(text)));
    }
    let names = Scenario::BUILT_IN.map(|(name, _)| name);
    if names.contains(&text) {
        return Ok(Source::Named(text.to_owned()));
    }
    Err(format!("expected one of {}, or a file with a / in its name or .toml at its end", names.join(", ")))
}

/// A number of clients within what can be run.
pub(super) fn parse_clients(text: &str) -> Result<u32, String> {
    let clients = parse_count(text)?;
    if (1..=MOST_CLIENTS).contains(&clients) {
        Ok(clients)
    } else {
        Err("it must lie between 1 and 10m".to_owned())
    }
}

/// Only the names of the arms, which clap lists in its errors.
fn arm_parser() -> impl TypedValueParser<Value = Arm> {
    PossibleValuesParser::new(Arm::ALL.map(Arm::name)).map(|name| {
        let is_meant = |arm: &Arm| arm.name() == name;
        Arm::ALL.into_iter().find(is_meant).unwrap_or_default()
    })
}
