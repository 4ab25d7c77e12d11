//! `carillon-sim run`: one scenario, one seed, one verdict.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use carillon_simulator::report::{Run, Summary, TextReport, Verdict};
use carillon_simulator::run::Arm;
use carillon_simulator::run::How;
use carillon_simulator::units::{format_span, parse_count, parse_span};
use carillon_simulator::{Outcome, Scenario};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::output::{JsonOutput, TraceFile};
use super::progress::simulate;
use super::{Failure, VIOLATED, story, terminal};

/// More would not fit the memory of an ordinary machine.
const MOST_CLIENTS: u32 = 10_000_000;

/// Below this, a push would still be on its way when the next one is due, and could not be told from it.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// Far beyond use, and far from the end of the clock.
const LONGEST_DURATION: Duration = Duration::from_secs(366 * 86_400);

/// Bits of a drawn seed: every reader of JSON takes such a number for what it is.
const SEED_BITS: u32 = 48;

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(
    after_help = "Exit codes: 0 all held, 1 could not run, 2 wrong options, 100 a guarantee was violated"
)]
pub(crate) struct Options {
    /// What the clients do
    #[arg(long, value_name = "NAME", default_value = "day", value_parser = scenario_parser())]
    scenario: String,

    /// How many clients there are, such as 500, 10k or 1m
    #[arg(long, value_name = "COUNT", default_value = "10k", value_parser = parse_clients)]
    clients: u32,

    /// Virtual time until the server is told to shut down, such as 90s, 24h or 1h30m
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = parse_span)]
    duration: Duration,

    /// Time between two pushes
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_span)]
    period: Duration,

    /// Where the server runs: its core as a value, or the whole of it on a paused runtime
    #[arg(long, value_name = "ARM", default_value = "core", value_parser = arm_parser())]
    arm: Arm,

    /// What decides the run [default: drawn, and printed]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write every event to this file, a line each
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// Runs and reports.
pub(crate) fn execute(options: &Options) -> Result<ExitCode, Failure> {
    let seed = options.seed.unwrap_or_else(draw_seed);
    let scenario = options.scenario(seed).map_err(Failure::Usage)?;
    let mut run = Run { arm: options.arm, scenario: &scenario, seed, wall: Duration::ZERO };
    if options.seed.is_none() {
        // Before anything happens: should the server panic, this line is all that is left.
        terminal::complain(&format!("seed drawn; to repeat this run: {}", run.repeat_line()));
    }
    let json = JsonOutput::open(options.json.as_deref())?;
    let trace = options.trace.as_deref().map(TraceFile::create).transpose()?;
    let how = How { trace: trace.as_ref().map(TraceFile::trace).unwrap_or_default(), ..How::default() };
    let outcome = clocked(&mut run, how)?;
    trace.map_or(Ok(()), TraceFile::finish)?;
    let is_text_wanted = json.leaves_stdout();
    json.write(&Summary::new(&run, &outcome))?;
    if is_text_wanted {
        let report = TextReport { run, outcome: &outcome, palette: terminal::palette() };
        terminal::print(&report.to_string())?;
        terminal::print(&story::tell(&run, &outcome)?)?;
    }
    Ok(match Verdict::of_run(&outcome) {
        Verdict::Violated => ExitCode::from(VIOLATED),
        _ => ExitCode::SUCCESS,
    })
}

/// Runs, and notes the wall time that it took.
#[expect(clippy::disallowed_methods, reason = "the speeds of the report are figures of the wall clock")]
fn clocked(run: &mut Run<'_>, how: How) -> Result<Outcome, Failure> {
    let message = format!("{}, seed {}", run.scenario.name, run.seed);
    let start = Instant::now();
    let result = simulate(run, how, message);
    run.wall = start.elapsed();
    result
}

impl Options {
    /// The scenario that is asked for, or the sentence that says why it makes no sense.
    fn scenario(&self, seed: u64) -> Result<Scenario, String> {
        let scenario = Scenario::named(&self.scenario, self.clients, self.duration, self.period, seed)
            .ok_or_else(|| format!("there is no scenario {:?}", self.scenario))?;
        if self.period < SHORTEST_PERIOD {
            let window = scenario.bounds.push + scenario.links.longest_way();
            return Err(format!(
                "--period {} is too short; it must be at least {}, as a push may take {} to arrive (the server's \
                 bound and the slowest link) and must have come before the next is due",
                format_span(self.period),
                format_span(SHORTEST_PERIOD),
                format_span(window),
            ));
        }
        if !(self.period..=LONGEST_DURATION).contains(&self.duration) {
            return Err(format!(
                "--for {} is out of range; it must lie between one period, {}, and {}",
                format_span(self.duration),
                format_span(self.period),
                format_span(LONGEST_DURATION),
            ));
        }
        Ok(scenario)
    }
}

fn parse_clients(text: &str) -> Result<u32, String> {
    let clients = parse_count(text)?;
    if (1..=MOST_CLIENTS).contains(&clients) {
        Ok(clients)
    } else {
        Err("it must lie between 1 and 10m".to_owned())
    }
}

/// Only the names of the scenarios, which clap lists in its errors.
fn scenario_parser() -> PossibleValuesParser {
    PossibleValuesParser::new(Scenario::BUILT_IN.map(|(name, _)| name))
}

/// Only the names of the arms, which clap lists in its errors.
fn arm_parser() -> impl TypedValueParser<Value = Arm> {
    PossibleValuesParser::new(Arm::ALL.map(Arm::name)).map(|name| {
        let is_meant = |arm: &Arm| arm.name() == name;
        Arm::ALL.into_iter().find(is_meant).unwrap_or_default()
    })
}

/// A seed that nobody chose.
fn draw_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> (u64::BITS - SEED_BITS)
}

#[cfg(test)]
mod tests {
    use carillon_simulator::report;
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["carillon-sim", "run"].iter().chain(arguments);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Run(options) => options,
            other => panic!("{other:?}"),
        })
    }

    fn refusal(arguments: &[&str]) -> String {
        parse(arguments).unwrap().scenario(1).unwrap_err()
    }

    #[test]
    fn the_defaults_are_those_that_the_repeat_line_leaves_out() {
        let defaults = Options {
            scenario: report::DEFAULT_SCENARIO.to_owned(),
            clients: report::DEFAULT_CLIENTS,
            duration: report::DEFAULT_DURATION,
            period: report::DEFAULT_PERIOD,
            arm: Arm::default(),
            seed: None,
            json: None,
            trace: None,
        };
        assert_eq!(parse(&[]).unwrap(), defaults);
    }

    #[test]
    fn numbers_have_suffixes_and_times_have_units() {
        let options = parse(&["--clients", "2k", "--for", "1h30m", "--period", "1500ms"]).unwrap();
        assert_eq!(options.clients, 2000);
        assert_eq!(options.duration, Duration::from_secs(5400));
        assert_eq!(options.period, Duration::from_millis(1500));
        assert_eq!(parse(&["--clients", "10m"]).unwrap().clients, MOST_CLIENTS);
    }

    #[test]
    fn a_wrong_value_is_a_usage_error_that_says_what_is_allowed() {
        for (arguments, allowed) in [
            (["--clients", "0"], "between 1 and 10m"),
            (["--clients", "10000001"], "between 1 and 10m"),
            (["--clients", "many"], "such as 500, 10k or 1m"),
            (["--for", "24"], "such as 1500ms, 5m or 1h30m"),
            (["--period", "-5m"], "unexpected argument"),
            (["--scenario", "night"], "day, fanout"),
            (["--arm", "left"], "core, paused"),
            (["--seed", "-1"], "unexpected argument"),
            (["--seed", "0x1"], "invalid digit"),
        ] {
            let error = parse(&arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
            assert!(error.to_string().contains(allowed), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn times_that_do_not_go_together_are_refused() {
        let too_short = refusal(&["--period", "999ms", "--for", "1h"]);
        // 500 ms for the server, 250 ms + 2 × 50 ms for the link.
        assert!(too_short.contains("at least 1s, as a push may take 850ms"), "{too_short}");
        let too_brief = refusal(&["--for", "4m"]);
        assert!(too_brief.contains("between one period, 5m, and 366d"), "{too_brief}");
        let too_long = refusal(&["--for", "367d"]);
        assert!(too_long.contains("--for 367d is out of range"), "{too_long}");
        for edge in [["--period", "1s", "--for", "1s"], ["--period", "5m", "--for", "366d"]] {
            assert!(parse(&edge).unwrap().scenario(1).is_ok(), "{edge:?}");
        }
    }

    #[test]
    fn every_scenario_that_is_offered_exists() {
        for (name, _) in Scenario::BUILT_IN {
            assert_eq!(parse(&["--scenario", name]).unwrap().scenario(1).unwrap().name, name);
        }
    }

    #[test]
    fn a_drawn_seed_fits_a_number_of_json() {
        assert!((0..100).all(|_| draw_seed() < 1 << SEED_BITS));
    }

    proptest! {
        #[test]
        fn the_repeat_line_reads_back_as_the_run_that_it_repeats(
            scenario in prop::sample::select(Scenario::BUILT_IN.map(|(name, _)| name).to_vec()),
            clients in 1..=MOST_CLIENTS,
            period in 1000..400_000_u64,
            duration in 400_000..1_000_000_000_u64,
            arm in prop::sample::select(&Arm::ALL),
            seed: u64,
        ) {
            let options = Options {
                scenario: scenario.to_owned(),
                clients,
                duration: Duration::from_millis(duration),
                period: Duration::from_millis(period),
                arm,
                seed: Some(seed),
                json: None,
                trace: None,
            };
            let scenario = options.scenario(1).unwrap();
            let line = Run { arm, scenario: &scenario, seed, wall: Duration::ZERO }.repeat_line();
            let arguments: Vec<_> = line.strip_prefix("cargo sim run ").unwrap().split(' ').collect();
            prop_assert_eq!(parse(&arguments).unwrap(), options);
        }
    }
}
