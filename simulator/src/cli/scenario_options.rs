//! The options that choose a scenario, the same for every subcommand that runs one.

use std::time::Duration;

use carillon_simulator::recipe::{Overrides, Recipe, Source, parse_clients};
use carillon_simulator::report::Run;
use carillon_simulator::units::parse_span;
use carillon_simulator::{Arm, Scenario};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::failure::Failure;

pub(crate) use carillon_simulator::recipe::Defaults;

/// The sentence in the help of a subcommand whose defaults are [`Defaults::RUN`].
pub(crate) const DEFAULTS_OF_RUN: &str =
    "Defaults: day with 10k clients for 24h, a push every 5m; a file has its own values";

#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScenarioOptions {
    /// What the clients do: a name of `carillon-sim list`, or a TOML file (with a / in its name, or .toml at its end)
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) scenario: Option<Source>,

    /// Number of clients, such as 500, 10k or 1m
    #[arg(long, value_name = "COUNT", value_parser = parse_clients)]
    pub(super) clients: Option<u32>,

    /// Virtual time until the server is shut down, such as 90s, 24h or 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    pub(super) duration: Option<Duration>,

    /// Time between two pushes
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub(super) period: Option<Duration>,

    /// What runs: only the server's core, or the whole server on a paused runtime
    #[arg(long, value_name = "ARM", default_value = "core", value_parser = arm_parser())]
    pub(super) arm: Arm,
}

impl ScenarioOptions {
    /// The recipe that the options choose; a scenario file is read here. Only the seed is still open.
    pub(crate) fn recipe(&self, defaults: &Defaults) -> Result<Recipe, Failure> {
        let overrides = Overrides { clients: self.clients, duration: self.duration, period: self.period };
        Ok(Recipe::new(self.scenario.as_ref(), overrides, *defaults)?)
    }

    /// The scenario that the options choose, with this seed.
    pub(crate) fn scenario(&self, defaults: &Defaults, seed: u64) -> Result<Scenario, Failure> {
        self.recipe(defaults)?.scenario(seed).map_err(Failure::Usage)
    }

    /// The run of a scenario with this seed; its wall-clock time is zero until it has run.
    pub(crate) fn run<'a>(&self, scenario: &'a Scenario, seed: u64) -> Run<'a> {
        Run { arm: self.arm, scenario, seed, wall: Duration::ZERO }
    }
}

/// Only the names of the arms, which clap lists in its errors.
fn arm_parser() -> impl TypedValueParser<Value = Arm> {
    PossibleValuesParser::new(Arm::ALL.map(Arm::name)).map(|name| {
        let is_meant = |arm: &Arm| arm.name() == name;
        Arm::ALL.into_iter().find(is_meant).unwrap_or_default()
    })
}
