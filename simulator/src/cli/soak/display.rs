//! The progress of a soak: a bar on a terminal, plain lines elsewhere, JSON for another process.

use std::io::{IsTerminal, stderr};

use carillon_simulator::live::soak::Progress;
use indicatif::ProgressBar;

use crate::cli::{progress, terminal};

/// The prefix of a line with the JSON of a worker's progress.
pub(super) const MARK: &str = "progress ";

const TEMPLATE: &str = "{msg}\n{wide_bar} {percent:>3} %";

/// Number of progress reports per plain line.
const RARELY: u32 = 5;

/// The destination of the progress.
pub(super) enum Display {
    /// Standard error is a terminal.
    Bar(ProgressBar),
    /// Standard error is not a terminal. The number of progress reports so far.
    Lines(u32),
    /// The parent process reads standard error.
    Machine,
}

impl Display {
    pub(super) fn new(size: &str, is_worker: bool) -> Self {
        if is_worker {
            return Self::Machine;
        }
        if !stderr().is_terminal() {
            terminal::complain(size);
            return Self::Lines(0);
        }
        Self::Bar(progress::bar(TEMPLATE, 1).with_message(size.to_owned()))
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length((progress.seconds + progress.seconds_left).round() as u64);
                bar.set_position(progress.seconds as u64);
                bar.set_message(sentence(progress));
            }
            Self::Lines(count) => {
                if count.is_multiple_of(RARELY) {
                    terminal::complain(&sentence(progress));
                }
                *count += 1;
            }
            Self::Machine => {
                let json = serde_json::to_string(progress).expect("a progress has no map that could fail");
                terminal::complain(&format!("{MARK}{json}"));
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn sentence(progress: &Progress) -> String {
    let Progress { seconds, seconds_left, wanted, connected, subscribed, deliveries, violations, .. } =
        progress;
    let per_second = *deliveries as f64 / seconds.max(1e-9);
    let latency = progress
        .latency_ms
        .map_or(String::new(), |(median, most)| format!(", p50 {median:.1} ms, p99 {most:.1} ms"));
    let lost = match progress.lost_connections {
        0 => String::new(),
        lost => format!(", {lost} connections lost"),
    };
    format!(
        "{seconds:.0} s: {connected} of {wanted} clients, {subscribed} subscribed, {deliveries} pushes \
         ({per_second:.0}/s){latency}, {violations} violations{lost}, {seconds_left:.0} s left"
    )
}
