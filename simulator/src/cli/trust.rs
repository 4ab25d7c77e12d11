//! `--ca` and `--insecure`: whose certificates a client of `wss://` trusts.

use std::path::PathBuf;
use std::process::Command;

use carillon_simulator::tls::{Trust, TrustError};
use clap::Args;

use super::{Failure, terminal};

#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustOptions {
    /// With wss://, trust the roots in this PEM file as well as those of this machine
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// With wss://, take whoever answers for the server, whatever the certificate; the report says so
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl TrustOptions {
    /// Warns whoever trusts anybody.
    pub(crate) fn warn(&self) {
        if self.insecure {
            terminal::complain("warning: --insecure: whoever answers is taken for the server");
        }
    }

    /// What they say for this kind of URL.
    pub(crate) fn trust(&self, is_secure: bool) -> Result<Trust, Failure> {
        if !is_secure && *self != Self::default() {
            let sentence = "--ca and --insecure are about certificates, and there are none without wss://";
            return Err(Failure::Usage(sentence.to_owned()));
        }
        if self.insecure {
            return Ok(Trust::anybody());
        }
        Ok(self.ca.as_deref().map(Trust::with_roots_of).transpose()?.unwrap_or_default())
    }

    /// Says the same to another process.
    pub(crate) fn pass_on(&self, command: &mut Command) {
        if let Some(file) = &self.ca {
            command.arg("--ca").arg(file);
        }
        if self.insecure {
            command.arg("--insecure");
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Io(..) => Self::Impossible(error.to_string()),
            TrustError::Mistake(..) => Self::Unreadable(error.to_string()),
        }
    }
}
