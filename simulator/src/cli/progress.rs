//! A run with its progress bar.

use std::time::Duration;

use carillon_simulator::Outcome;
use carillon_simulator::report::Run;
use carillon_simulator::{How, run_arm};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;

const TEMPLATE: &str = "{msg} {wide_bar} {percent:>3} %, {elapsed} so far, {eta} to go";

/// Runs, and shows on a terminal how far it is.
pub(crate) fn simulate(run: &Run<'_>, how: How, message: String) -> Result<Outcome, Failure> {
    let bar = bar(message, run.scenario.duration);
    let result = run_arm(run.arm, run.scenario, run.seed, how, |so_far| bar.set_position(so_far.as_secs()));
    bar.finish_and_clear();
    result.map_err(|error| Failure::Impossible(error.to_string()))
}

/// A bar on standard error; where that is no terminal, nothing is drawn.
fn bar(message: String, total: Duration) -> ProgressBar {
    let style = ProgressStyle::with_template(TEMPLATE).expect("a sound template");
    ProgressBar::with_draw_target(Some(total.as_secs()), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message(message)
}
