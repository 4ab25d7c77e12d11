//! `carillon-sim list`: what can be run.

use carillon_simulator::Scenario;
use carillon_simulator::exit::Exit;

use super::{Failure, terminal};

/// Prints name and subject of each built-in scenario.
pub(crate) fn execute() -> Result<Exit, Failure> {
    let lines = Scenario::BUILT_IN.map(|(name, subject)| format!("{name:<10}{subject}\n"));
    terminal::print(&lines.concat())?;
    Ok(Exit::Held)
}
