//! What is to be done, and why it cannot be.

use std::fmt;

use super::plan::Plan;
use crate::dialect::Dialect;
use crate::live::server::address::Address;
use crate::live::server::tls::Trust;
use crate::metrics::Threshold;
use crate::scenario::Scenario;
use crate::units::{format_count, format_span};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct SoakOptions {
    /// The server.
    pub address: Address,
    /// Whose certificates are trusted, if the address asks for TLS.
    pub trust: Trust,
    /// How it words things.
    pub dialect: Dialect,
    /// What the clients do; its times are real ones.
    pub scenario: Scenario,
    /// How many there are, and when.
    pub plan: Plan,
    /// Decides what they do.
    pub seed: u64,
    /// Which part of them is meant, from 1, and how many parts there are.
    pub shard: (u32, u32),
    /// Bounds for what is measured.
    pub thresholds: Vec<Threshold>,
    /// The server's process, if it runs on this machine.
    pub server: Option<u32>,
    /// Whether it was started for this load alone.
    pub is_served: bool,
}

impl SoakOptions {
    /// The command that puts the same load on again.
    pub fn repeat_line(&self) -> String {
        let (address, scenario) = (&self.address, &self.scenario);
        let period = format_span(scenario.server.period);
        let file = scenario.file.as_ref().map(|file| file.display().to_string());
        let name = file.unwrap_or_else(|| scenario.name.clone());
        let server = if self.is_served { "--serve".to_owned() } else { address.to_string() };
        let mut line = format!(
            "carillon-sim soak {server}{} --scenario {name} --plan '{}' --period {period} --seed {}",
            self.trust.as_options(),
            self.plan,
            self.seed
        );
        if self.shard.1 > 1 {
            line.push_str(&format!(" --shard {}/{}", self.shard.0, self.shard.1));
        }
        line
    }

    /// How many clients there are at most, in words.
    pub fn size(&self) -> String {
        format!("{} clients for {}", format_count(self.plan.most()), format_span(self.plan.duration()))
    }
}

/// Why there is no outcome.
#[derive(Debug)]
pub struct SoakError(pub(super) String);

impl fmt::Display for SoakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SoakError {}
