//! `--ca` and `--insecure`: which certificates a client of `wss://` trusts.

use std::path::PathBuf;
use std::process::Command;

use carillon_simulator::live::Trust;
use clap::Args;

use super::failure::Failure;
use super::terminal;

#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustOptions {
    /// With wss://, trust the roots in this PEM file as well as those of this machine
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// With wss://, trust every certificate, and say so
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl TrustOptions {
    /// Prints a warning if every certificate is trusted.
    pub(crate) fn warn(&self) {
        if self.insecure {
            terminal::complain(
                "warning: --insecure: every certificate is trusted, so another server may answer",
            );
        }
    }

    /// The certificates to trust for a URL of this kind.
    pub(crate) fn trust(&self, is_secure: bool) -> Result<Trust, Failure> {
        if !is_secure && *self != Self::default() {
            let sentence = "--ca and --insecure are for certificates, and only wss:// has certificates";
            return Err(Failure::Usage(sentence.to_owned()));
        }
        if self.insecure {
            return Ok(Trust::any_certificate());
        }
        Ok(self.ca.as_deref().map(Trust::with_roots_of).transpose()?.unwrap_or_default())
    }

    /// Adds the same options to the command line of another process.
    pub(crate) fn pass_on(&self, command: &mut Command) {
        if let Some(file) = &self.ca {
            command.arg("--ca").arg(file);
        }
        if self.insecure {
            command.arg("--insecure");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        trust: TrustOptions,
    }

    fn parse(arguments: &[&str]) -> Result<TrustOptions, clap::Error> {
        Line::try_parse_from(["sim"].iter().chain(arguments)).map(|line| line.trust)
    }

    #[test]
    fn another_process_gets_the_same_options() {
        for arguments in [&[] as &[&str], &["--ca", "roots.pem"], &["--insecure"]] {
            let mut command = Command::new("another");
            parse(arguments).unwrap().pass_on(&mut command);
            assert!(command.get_args().eq(arguments.iter().copied()), "{command:?}");
        }
    }

    #[test]
    fn ca_and_insecure_exclude_each_other_and_need_tls() {
        assert_eq!(parse(&["--ca", "roots.pem", "--insecure"]).unwrap_err().exit_code(), 2);
        let insecure = parse(&["--insecure"]).unwrap();
        assert!(insecure.trust(true).unwrap().is_insecure());
        assert!(matches!(insecure.trust(false), Err(Failure::Usage(_))));
        assert_eq!(parse(&[]).unwrap().trust(false).unwrap(), Trust::default());
    }

    #[test]
    fn a_missing_file_and_a_file_with_a_mistake_are_different_failures() {
        let trust = |file: &str| parse(&["--ca", file]).unwrap().trust(true);
        assert!(matches!(trust("/there/is/no/such/file"), Err(Failure::Impossible(_))));
        assert!(matches!(
            trust(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
            Err(Failure::Unreadable(_))
        ));
    }
}
