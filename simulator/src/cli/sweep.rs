//! `carillon-sim sweep`: one scenario, many seeds, one verdict.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use carillon_simulator::exit::{self, Exit};
use carillon_simulator::hunt::sweep::{FailedSeed, SeedResult, Totals, sweep};
use carillon_simulator::recipe::Recipe;
use carillon_simulator::report::{Run, SweepReport, SweepSummary, describe_failure};
use carillon_simulator::units::{parse_count, parse_seed, parse_span};
use carillon_simulator::{Arm, RunOptions, run_arm};
use clap::Args;
use indicatif::ProgressBar;

use super::failure::Failure;
use super::output::JsonOutput;
use super::scenario_options::{Defaults, ScenarioOptions};
use super::{progress, terminal};

const DEFAULTS: Defaults = Defaults {
    scenario: "swarm",
    clients: 200,
    duration: Duration::from_secs(2 * 3600),
    period: Defaults::RUN.period,
};

const DEFAULT_SEEDS: u32 = 1000;

/// The time between two lines of progress, if standard error is no terminal.
const SILENCE: Duration = Duration::from_secs(10);

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Crossed, Exit::Violated, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(
    "Defaults: swarm with 200 clients for 2h, a push every 5m; a file has its own values",
    ENDS
))]
pub(crate) struct Options {
    #[command(flatten)]
    scenario: ScenarioOptions,

    /// Number of seeds; they are consecutive [default: 1000; with --for-wall, as many as there is time for]
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    seeds: Option<u32>,

    /// The first seed: a number, or a commit hash of 7 to 40 hexadecimal digits; digits alone are a decimal number
    #[arg(long, value_name = "SEED", default_value = "1", value_parser = parse_seed)]
    from: u64,

    /// Number of threads [default: one per core]
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,

    /// Start no more seeds after this much real time, such as 10m
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    for_wall: Option<Duration>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Sweeps and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let recipe = options.scenario.recipe(&DEFAULTS)?;
    let scenario = recipe.scenario(options.from).map_err(Failure::Usage)?;
    let seeds = options.seeds().map_err(Failure::Usage)?;
    let jobs = options.jobs.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let json = JsonOutput::open(options.json.as_deref())?;
    let mut watch = Watch::new(options, &recipe, seeds.end - seeds.start, json.leaves_stdout());
    sweep(
        seeds,
        jobs,
        |seed| run(options.scenario.arm, &recipe, seed),
        |seed, result| watch.on(seed, result),
    );
    watch.bar.finish_and_clear();
    let (totals, wall) = (&watch.totals, watch.elapsed());
    let run = Run { wall, ..options.scenario.run(&scenario, options.from) };
    let report = SweepReport { run, jobs: jobs.get(), totals, palette: terminal::palette() };
    json.report(&report, &SweepSummary::new(&report))?;
    Ok(verdict(&report))
}

/// A violation counts more than a seed that could not run, and that counts more than a broken promise of coverage.
fn verdict(report: &SweepReport<'_>) -> Exit {
    if report.totals.is_violated() {
        Exit::Violated
    } else if !report.totals.failures.is_empty() {
        Exit::Impossible
    } else if report.broken_promises().is_some_and(|cells| !cells.is_empty()) {
        Exit::Crossed
    } else {
        Exit::Held
    }
}

fn run(arm: Arm, recipe: &Recipe, seed: u64) -> SeedResult {
    let scenario = recipe.scenario(seed)?;
    run_arm(arm, &scenario, seed, RunOptions::default(), |_| ()).map_err(|error| error.to_string())
}

impl Options {
    fn seeds(&self) -> Result<Range<u64>, String> {
        let end = match self.seeds {
            Some(0) => return Err("--seeds must be at least 1".to_owned()),
            None if self.for_wall.is_some() => u64::MAX,
            seeds => {
                let count = u64::from(seeds.unwrap_or(DEFAULT_SEEDS));
                self.from.checked_add(count).ok_or("--from and --seeds go beyond the largest seed")?
            }
        };
        Ok(self.from..end)
    }
}

/// The observer of a sweep: counts the results and shows the progress.
struct Watch<'a> {
    options: &'a Options,
    recipe: &'a Recipe,
    totals: Totals,
    bar: ProgressBar,
    is_talkative: bool,
    is_terminal: bool,
    start: Instant,
    last_line: Duration,
}

impl<'a> Watch<'a> {
    #[expect(clippy::disallowed_methods, reason = "seeds per second, and the limit in real time")]
    fn new(options: &'a Options, recipe: &'a Recipe, seeds: u64, is_talkative: bool) -> Self {
        let is_endless = options.seeds.is_none() && options.for_wall.is_some();
        let template = if is_endless { "{msg}" } else { "{wide_bar} {percent:>3} %, {msg}, {eta} to go" };
        Self {
            options,
            recipe,
            totals: Totals::default(),
            bar: progress::bar(template, seeds),
            is_talkative,
            is_terminal: io::stderr().is_terminal(),
            start: Instant::now(),
            last_line: Duration::ZERO,
        }
    }

    fn on(&mut self, seed: u64, result: &SeedResult) -> ControlFlow<()> {
        if let Some(failed) = self.totals.add(seed, result).cloned() {
            self.tell(&failed);
        }
        self.show_progress();
        let is_late = self.options.for_wall.is_some_and(|limit| self.elapsed() >= limit);
        if is_late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Reports a failed seed at once, not at the end. It goes to standard error if standard output is for the JSON.
    fn tell(&self, failed: &FailedSeed) {
        let Ok(scenario) = self.recipe.scenario(failed.seed) else {
            return terminal::complain(&format!("seed {}: {:?}", failed.seed, failed.cause));
        };
        let text = describe_failure(&self.options.scenario.run(&scenario, failed.seed), failed);
        self.bar.suspend(|| match self.is_talkative {
            // An error here occurs again when the report is written, and is reported there.
            true => drop(terminal::print(&text)),
            false => terminal::complain(text.trim_end()),
        });
    }

    fn show_progress(&mut self) {
        let (elapsed, totals) = (self.elapsed(), &self.totals);
        let speed = totals.seeds as f64 / elapsed.as_secs_f64().max(1e-9);
        let sentence =
            format!("{} seeds, {} failed, {speed:.1} seeds/s", totals.seeds, totals.failures.len());
        if !self.is_terminal && elapsed >= self.last_line + SILENCE {
            self.last_line = elapsed;
            terminal::complain(&sentence);
        }
        self.bar.set_message(sentence);
        self.bar.set_position(totals.seeds);
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("sweep", arguments)
    }

    #[test]
    fn the_default_sweep_is_a_thousand_small_swarms() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.seeds(), Ok(1..1001));
        let scenario = options.scenario.recipe(&DEFAULTS).unwrap().scenario(1).unwrap();
        assert_eq!((scenario.name.as_str(), scenario.clients), ("swarm", 200));
        assert_eq!(scenario.duration, Duration::from_secs(7200));
    }

    #[test]
    fn the_first_seed_may_be_a_commit() {
        assert_eq!(
            parse(&["--from", "3f2a9c1", "--seeds", "1k"]).unwrap().seeds(),
            Ok(0x03f2_a9c1..0x03f2_ada9)
        );
        assert_eq!(parse(&["--from", "1234567", "--seeds", "1"]).unwrap().seeds(), Ok(1_234_567..1_234_568));
        assert!(parse(&["--from", "main"]).unwrap_err().to_string().contains("commit hash"));
    }

    #[test]
    fn a_time_limit_replaces_the_default_number_of_seeds() {
        assert_eq!(parse(&["--for-wall", "10m"]).unwrap().seeds(), Ok(1..u64::MAX));
        assert_eq!(parse(&["--for-wall", "10m", "--seeds", "5"]).unwrap().seeds(), Ok(1..6));
    }

    #[test]
    fn seeds_beyond_the_largest_number_are_refused() {
        assert!(parse(&["--seeds", "0"]).unwrap().seeds().is_err());
        assert!(parse(&["--from", "18446744073709551615"]).unwrap().seeds().is_err());
    }
}
