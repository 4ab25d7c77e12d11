//! `--dialect`: the commands and texts of a server.

use std::path::Path;

use carillon_simulator::live::Dialect;

use super::failure::Failure;

/// The dialect in this file; without a file, the dialect of the protocol.
pub(crate) fn dialect(path: Option<&Path>) -> Result<Dialect, Failure> {
    Ok(path.map(Dialect::load).transpose()?.unwrap_or_default())
}
