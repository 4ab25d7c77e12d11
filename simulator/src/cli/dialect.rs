//! `--dialect`: how a server words things.

use std::path::Path;

use carillon_simulator::live::Dialect;

use super::failure::Failure;

/// The dialect in this file, or the one of the protocol.
pub(crate) fn dialect(path: Option<&Path>) -> Result<Dialect, Failure> {
    Ok(path.map(Dialect::load).transpose()?.unwrap_or_default())
}
