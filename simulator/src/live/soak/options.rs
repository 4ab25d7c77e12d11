//! Options of a soak, and its error.

use std::fmt;

use super::plan::Plan;
use crate::dialect::Dialect;
use crate::live::server::address::Address;
use crate::live::server::tls::Trust;
use crate::metrics::Threshold;
use crate::scenario::Scenario;
use crate::units::{format_count, format_span};

/// The load: server, clients and duration.
#[derive(Clone, Debug)]
pub struct SoakOptions {
    /// The server's address.
    pub address: Address,
    /// Which certificates are accepted, if the address asks for TLS.
    pub trust: Trust,
    /// The dialect of the server: its texts, path and headers.
    pub dialect: Dialect,
    /// What the clients do. Its times are real times.
    pub scenario: Scenario,
    /// The number of clients over time.
    pub plan: Plan,
    /// The seed that decides what the clients do.
    pub seed: u64,
    /// Which part of the clients this process has, from 1, and the number of parts.
    pub shard: (u32, u32),
    /// Bounds for the measured figures.
    pub thresholds: Vec<Threshold>,
    /// The server's process id, if it runs on this machine.
    pub server: Option<u32>,
    /// Whether the server was started for this load (`--serve`).
    pub is_served: bool,
}

impl SoakOptions {
    /// The command line that repeats the load.
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

    /// The size of the load as text: the most clients, and the duration.
    pub fn size(&self) -> String {
        format!("{} clients for {}", format_count(self.plan.most()), format_span(self.plan.duration()))
    }
}

/// Why a soak has no result; `Display` gives a sentence.
#[derive(Debug)]
pub struct SoakError(pub(super) String);

impl fmt::Display for SoakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SoakError {}
