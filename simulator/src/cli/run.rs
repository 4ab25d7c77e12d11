//! `carillon-sim run`: one scenario, one seed, one verdict.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;

use carillon_simulator::RunOptions;
use carillon_simulator::Verdict;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::report::{Summary, TextReport};
use carillon_simulator::stopwatch::clocked;
use carillon_simulator::units::parse_seed;
use carillon_simulator::{Scenario, scenario_file};
use clap::Args;

use super::failure::Failure;
use super::output::{JsonOutput, TraceFile};
use super::progress::simulate;
use super::scenario_options::{DEFAULTS_OF_RUN, Defaults, ScenarioOptions};
use super::{story, terminal};

/// Bits of a drawn seed: every JSON reader reads such a number exactly.
const SEED_BITS: u32 = 48;

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Violated, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help(DEFAULTS_OF_RUN, ENDS))]
pub(crate) struct Options {
    #[command(flatten)]
    scenario: ScenarioOptions,

    /// The seed, which decides the run: a number, or a commit hash of 7 to 40 hexadecimal digits; digits alone are a
    /// decimal number [default: drawn, and printed]
    #[arg(long, value_name = "SEED", value_parser = parse_seed)]
    seed: Option<u64>,

    /// Only print the scenario, as a TOML file to edit and run
    #[arg(long)]
    dump: bool,

    /// Only say whether the scenario can be run
    #[arg(long, conflicts_with = "dump")]
    check: bool,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write every event to this file, one per line
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// Runs and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let seed = options.seed.unwrap_or_else(draw_seed);
    let scenario = options.scenario.scenario(&Defaults::RUN, seed)?;
    let mut run = options.scenario.run(&scenario, seed);
    if options.check {
        terminal::print(&format!("{}: can be run\n", scenario.name))?;
        return Ok(Exit::Held);
    }
    if options.seed.is_none() {
        // Printed before the run: if the server panics, this is the only line that shows the seed.
        terminal::complain(&format!("seed drawn; to repeat this run: {}", run.repeat_line()));
    }
    if options.dump {
        return dump(&scenario);
    }
    let json = JsonOutput::open(options.json.as_deref())?;
    let trace = options.trace.as_deref().map(TraceFile::create).transpose()?;
    let options = RunOptions {
        trace: trace.as_ref().map(TraceFile::trace).unwrap_or_default(),
        ..RunOptions::default()
    };
    let message = format!("{}, seed {seed}", scenario.name);
    let (outcome, wall) = clocked(|| simulate(&run, options, message))?;
    run.wall = wall;
    trace.map_or(Ok(()), TraceFile::finish)?;
    if json.leaves_stdout() {
        let report = TextReport { run, outcome: &outcome, palette: terminal::palette() };
        terminal::print(&report.to_string())?;
    }
    let again = |options| simulate(&run, options, "once more, for the story".to_owned());
    let story = story::of_first(&run, &outcome, again)?;
    if json.leaves_stdout() {
        terminal::print(&story::tell(&run, &outcome, story.as_deref()))?;
    }
    json.write(&Summary::new(&run, &outcome).with_story(story))?;
    Ok(Verdict::of_run(&outcome.score).into())
}

fn dump(scenario: &Scenario) -> Result<Exit, Failure> {
    let text = scenario_file::format(scenario).map_err(Failure::impossible)?;
    terminal::print(&text)?;
    Ok(Exit::Held)
}

/// A random seed, for a command line without one.
fn draw_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> (u64::BITS - SEED_BITS)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use carillon_simulator::Arm;
    use carillon_simulator::MOST_CLIENTS;
    use carillon_simulator::recipe::Source;
    use carillon_simulator::report::Run;
    use proptest::prelude::*;

    use super::*;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("run", arguments)
    }

    fn scenario_of(options: &Options, seed: u64) -> Result<Scenario, Failure> {
        options.scenario.scenario(&Defaults::RUN, seed)
    }

    fn refusal(arguments: &[&str]) -> String {
        match scenario_of(&parse(arguments).unwrap(), 1).unwrap_err() {
            Failure::Impossible(sentence) | Failure::Unreadable(sentence) | Failure::Usage(sentence) => {
                sentence
            }
        }
    }

    #[test]
    fn the_defaults_are_those_that_the_repeat_line_leaves_out() {
        let scenario = scenario_of(&parse(&[]).unwrap(), 1).unwrap();
        let run = Run { arm: Arm::default(), scenario: &scenario, seed: 1, wall: Duration::ZERO };
        assert_eq!(run.repeat_line(), "cargo sim run --seed 1");
    }

    #[test]
    fn numbers_may_have_suffixes_and_times_have_units() {
        let scenario = parse(&["--clients", "2k", "--for", "1h30m", "--period", "1500ms"]).unwrap().scenario;
        assert_eq!(scenario.clients, Some(2000));
        assert_eq!(scenario.duration, Some(Duration::from_secs(5400)));
        assert_eq!(scenario.period, Some(Duration::from_millis(1500)));
        assert_eq!(parse(&["--clients", "10m"]).unwrap().scenario.clients, Some(MOST_CLIENTS));
        assert_eq!(parse(&["--seed", "3f2a9c1"]).unwrap().seed, Some(0x03f2_a9c1));
    }

    #[test]
    fn a_scenario_with_a_path_is_a_file() {
        for path in ["./slow", "mine.toml", "/tmp/a b/c.toml"] {
            let scenario = parse(&["--scenario", path]).unwrap().scenario;
            assert_eq!(scenario.scenario, Some(Source::File(PathBuf::from(path))));
        }
        assert!(refusal(&["--scenario", "no/such/file"]).starts_with("cannot read no/such/file"));
    }

    #[test]
    fn options_override_a_file_and_the_repeat_line_says_all() {
        let path = std::env::temp_dir().join(format!("carillon-{}.toml", std::process::id()));
        std::fs::write(&path, "name = \"mine\"\nclients = 7\nduration = \"3h\"").unwrap();
        let name = path.to_str().unwrap();
        let options = parse(&["--scenario", name, "--for", "2h", "--seed", "5"]).unwrap();
        let scenario = scenario_of(&options, 5).unwrap();
        assert_eq!((scenario.clients, scenario.duration), (7, Duration::from_secs(7200)));
        let too_brief = refusal(&["--scenario", name, "--for", "1m"]);
        assert!(too_brief.starts_with("--for 1m is out of range"), "{too_brief}");
        let run = Run { arm: Arm::Paused, scenario: &scenario, seed: 5, wall: Duration::ZERO };
        let expected =
            format!("cargo sim run --scenario {name} --clients 7 --for 2h --period 5m --arm paused --seed 5");
        assert_eq!(run.repeat_line(), expected);
        std::fs::write(&path, "name = \"mine\"\nclients = 0").unwrap();
        let failure = scenario_of(&parse(&["--scenario", name]).unwrap(), 1).unwrap_err();
        assert!(matches!(failure, Failure::Unreadable(sentence) if sentence.contains("line 2, column 11")));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_wrong_value_is_a_usage_error_that_says_what_is_allowed() {
        for (arguments, allowed) in [
            (["--clients", "0"], "between 1 and 10m"),
            (["--clients", "10000001"], "between 1 and 10m"),
            (["--clients", "many"], "such as 500, 10k or 1m"),
            (["--for", "24"], "such as 1500ms, 5m or 1h30m"),
            (["--period", "-5m"], "unexpected argument"),
            (["--scenario", "night"], "churn, day,"),
            (["--arm", "left"], "core, paused"),
            (["--seed", "-1"], "unexpected argument"),
            (["--seed", "0x1"], "commit hash"),
        ] {
            let error = parse(&arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
            assert!(error.to_string().contains(allowed), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        let too_short = refusal(&["--period", "999ms", "--for", "1h"]);
        // 500 ms for the server, 250 ms + 2 × 50 ms for the link.
        assert!(too_short.contains("at least 1s, because a push may take 850ms"), "{too_short}");
        let too_brief = refusal(&["--for", "4m"]);
        assert!(too_brief.contains("between one period, 5m, and 366d"), "{too_brief}");
        let too_long = refusal(&["--for", "367d"]);
        assert!(too_long.contains("--for 367d is out of range"), "{too_long}");
        for edge in [["--period", "1s", "--for", "1s"], ["--period", "5m", "--for", "366d"]] {
            assert!(scenario_of(&parse(&edge).unwrap(), 1).is_ok(), "{edge:?}");
        }
    }

    #[test]
    fn every_built_in_scenario_exists() {
        for (name, _) in Scenario::BUILT_IN {
            assert_eq!(scenario_of(&parse(&["--scenario", name]).unwrap(), 1).unwrap().name, name);
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
            // From above the slowest link that a swarm draws.
            period in 2000..400_000_u64,
            duration in 400_000..1_000_000_000_u64,
            arm in prop::sample::select(&Arm::ALL),
            seed: u64,
        ) {
            let [period, duration] = [period, duration].map(Duration::from_millis);
            let scenario = Scenario::named(scenario, clients, duration, period, seed).unwrap();
            let line = Run { arm, scenario: &scenario, seed, wall: Duration::ZERO }.repeat_line();
            let arguments: Vec<_> = line.strip_prefix("cargo sim run ").unwrap().split(' ').collect();
            let options = parse(&arguments).unwrap();
            prop_assert_eq!((options.scenario.arm, options.seed), (arm, Some(seed)));
            let again = scenario_of(&options, seed).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{scenario:?}"));
        }
    }
}
