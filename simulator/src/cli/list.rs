//! `carillon-sim list`: what can be run.

use std::process::ExitCode;

use carillon_simulator::Scenario;

use super::{Failure, terminal};

/// Prints name and subject of each built-in scenario.
pub(crate) fn execute() -> Result<ExitCode, Failure> {
    let lines = Scenario::BUILT_IN.map(|(name, subject)| format!("{name:<10}{subject}\n"));
    terminal::print(&lines.concat())?;
    Ok(ExitCode::SUCCESS)
}
