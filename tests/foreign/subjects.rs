//! The servers of `lawful.toml` and `broken.toml`: reading the manifests, and putting a server on trial.

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use carillon_server::Zone;
use carillon_simulator::Verdict;
use carillon_simulator::live::Address;
use carillon_simulator::live::conform::{ConformOptions, Conformance, conform};
use carillon_simulator::units::parse_size;
use serde::Deserialize;

use crate::support::free_port;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign");
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/foreign");

/// How long these servers may take to end a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A server of a manifest. The head of the manifest explains the fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) library: String,
    needs: Vec<String>,
    command: String,
    options: String,
    #[serde(default = "one_second")]
    period: u64,
    #[serde(default)]
    pub(super) oddity: String,
    #[serde(default)]
    pub(super) lax: Vec<String>,
    #[serde(default)]
    pub(super) breaks: String,
    #[serde(default)]
    pub(super) also: Vec<String>,
    #[serde(default)]
    pub(super) because: String,
}

#[derive(Deserialize)]
struct Manifest {
    server: Vec<Subject>,
}

const fn one_second() -> u64 {
    1
}

/// The servers of a manifest that are installed here. Names the others as skipped.
pub(super) fn installed(manifest: &str) -> Vec<Subject> {
    let all: Manifest = toml::from_str(manifest).expect("a manifest that parses");
    let (here, missing): (Vec<_>, Vec<_>) = all.server.into_iter().partition(Subject::is_installed);
    for subject in missing {
        println!("skipped: {}: tests/foreign/install has not installed {}", subject.name, subject.library);
    }
    here
}

impl Subject {
    /// Whether everything that the command names is there.
    fn is_installed(&self) -> bool {
        let stamps = self.needs.iter().map(|need| match need.as_str() {
            "pip" => "venv/installed".to_owned(),
            "npm" => "node_modules/installed".to_owned(),
            "cargo" => "bin/rust".to_owned(),
            _ => String::new(),
        });
        let programs = self.command.split_whitespace().filter_map(|word| word.strip_prefix("{bin}/"));
        let programs = programs.map(|program| format!("bin/{program}"));
        let are_there = |path: String| Path::new(INSTALLED).join(path).exists();
        let is_proxy = |need: &String| need.starts_with("apt:nginx") || need.starts_with("apt:haproxy");
        let has_proxy = !self.needs.iter().any(is_proxy) || Path::new("/usr/sbin/nginx").exists();
        has_proxy && super::is_there("python3") && stamps.chain(programs).all(are_there)
    }

    fn filled(&self, text: &str, port: u16) -> String {
        [
            ("{port}", port.to_string()),
            ("{period}", self.period.to_string()),
            ("{here}", HERE.to_owned()),
            ("{python}", format!("{INSTALLED}/venv/bin/python")),
            ("{node_modules}", format!("{INSTALLED}/node_modules")),
            ("{bin}", format!("{INSTALLED}/bin")),
        ]
        .iter()
        .fold(text.to_owned(), |text, (hole, value)| text.replace(hole, value))
    }

    /// Puts the server on trial. A sentence if it cannot be tried at all.
    pub(super) fn try_out(&self) -> Result<Conformance, String> {
        let port = free_port();
        let address = Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL");
        let mut options = ConformOptions {
            spawn: Some(self.filled(&self.command, port)),
            close_timeout: CLOSE_TIMEOUT,
            ..ConformOptions::new(address, Duration::from_secs(self.period))
        };
        self.apply(&mut options, port);
        conform(options, |_| ()).map_err(|error| error.to_string())
    }

    /// Applies the options of the manifest, as the command line reads them.
    fn apply(&self, options: &mut ConformOptions, port: u16) {
        let text = self.filled(&self.options, port);
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once(' ').expect("an option has a value");
            let (value, after) = match after.strip_prefix('\'') {
                Some(quoted) => quoted.split_once('\'').expect("a quoted value ends"),
                None => after.split_once(' ').unwrap_or((after, "")),
            };
            match name {
                "--max-message" => options.max_message = Some(parse_size(value).expect("a size")),
                "--outbox-limit" => options.outbox_limit = Some(parse_size(value).expect("a size")),
                "--stop-command" => options.stop_command = Some(value.to_owned()),
                "--zone" => options.zone = Some(zone(value)),
                other => panic!("{}: the tests do not know {other}", self.name),
            }
            rest = after.trim();
        }
    }
}

/// A zone such as `+09:00`.
fn zone(text: &str) -> Zone {
    let (hours, minutes) = text.split_once(':').expect("hours and minutes");
    let (hours, minutes): (i32, i32) = (hours.parse().expect("hours"), minutes.parse().expect("minutes"));
    Zone::Fixed(hours * 3600 + hours.signum() * minutes * 60)
}

/// The guarantees that a trial found violated.
pub(super) fn violated(conformance: &Conformance) -> Vec<String> {
    let broken = conformance.guarantees().iter().filter(|entry| entry.verdict == Verdict::Violated);
    broken.map(|entry| entry.id.clone()).collect()
}

/// Puts every subject on trial, several at a time, and passes each result on.
pub(super) fn try_all(
    subjects: Vec<Subject>,
    at_once: usize,
    on_result: impl Fn(&Subject, Result<Conformance, String>) + Sync,
) {
    let waiting = Mutex::new(subjects.into_iter());
    let next = || waiting.lock().expect("no thread panics while it holds the lock").next();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(subject) = next() {
                    on_result(&subject, subject.try_out());
                }
            });
        }
    });
}
