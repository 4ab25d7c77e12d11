//! Progress bars, and a run with one.

use carillon_simulator::Outcome;
use carillon_simulator::report::Run;
use carillon_simulator::{RunOptions, run_arm};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::Failure;

const TEMPLATE: &str = "{msg} {wide_bar} {percent:>3} %, {elapsed} so far, {eta} to go";

/// Runs, and shows the progress on a terminal.
pub(crate) fn simulate(run: &Run<'_>, options: RunOptions, message: String) -> Result<Outcome, Failure> {
    let bar = bar(TEMPLATE, run.scenario.duration.as_secs()).with_message(message);
    let result =
        run_arm(run.arm, run.scenario, run.seed, options, |so_far| bar.set_position(so_far.as_secs()));
    bar.finish_and_clear();
    result.map_err(Failure::impossible)
}

/// A bar on standard error. Where standard error is no terminal, nothing is drawn.
pub(crate) fn bar(template: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("a sound template");
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
}
