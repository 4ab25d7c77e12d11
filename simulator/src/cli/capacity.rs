//! `carillon-sim capacity`: how many clients a server can serve, and what fails first.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use carillon_simulator::Scenario;
use carillon_simulator::Verdict;
use carillon_simulator::exit::{self, Exit};
use carillon_simulator::live::Serving;
use carillon_simulator::live::Trust;
use carillon_simulator::live::soak::{Plan, SoakOptions, soak};
use carillon_simulator::live::{Address, Dialect, interrupted};
use carillon_simulator::metrics::Threshold;
use carillon_simulator::recipe::parse_clients;
use carillon_simulator::report::Summary;
use carillon_simulator::report::page;
use carillon_simulator::units::parse_span;
use clap::Args;

use super::failure::Failure;
use super::output::write_file;
use super::serving::server_under_load;
use super::soak::workers;
use super::terminal;
use super::trust::TrustOptions;

/// Clients that connect per second.
const RATE: u32 = 2000;

/// The time for which each number of clients stays connected, in periods.
const HOLD: u32 = 4;

/// A server is full if it refuses more than one in this many connections.
const FULL: u64 = 100;

/// The machine is exhausted if less than this share of its memory is available, in per cent.
const EXHAUSTED: u64 = 5;

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::NothingRan, Exit::Unreadable, Exit::Interrupted];

#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = exit::help(
    "carillon-sim capacity --serve --step 2000 --until 'spread:p(95)<250ms' --plot capacity.svg",
    ENDS
))]
pub(crate) struct Options {
    /// The server, such as ws://127.0.0.1:8080/ws or wss://example.org/ws
    #[arg(required_unless_present = "serve", conflicts_with = "serve", value_parser = Address::parse)]
    url: Option<Address>,

    /// Start the reference server, and test it
    #[arg(long)]
    serve: bool,

    /// Time between two pushes of the server
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_span)]
    period: Duration,

    /// Number of clients that are added at a time
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = parse_clients)]
    step: u32,

    /// The bound that must hold
    #[arg(long, value_name = "BOUND", default_value = "spread:p(95)<250ms")]
    until: Threshold,

    /// Write a plot of the bound's figure to this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    trust: TrustOptions,
}

/// Adds clients until something fails, and reports what failed.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let (serving, address) = server_under_load(options.serve, options.url.as_ref(), options.period)?;
    let trust = options.trust.trust(address.is_secure())?;
    options.trust.warn();
    let mut points = Vec::new();
    let mut table = String::new();
    let mut clients = options.step;
    let (cause, is_interrupted) = loop {
        let load = load(options, (&address, &trust), clients, serving.as_ref().and_then(Serving::pid));
        if let Err(Failure::Usage(sentence)) = workers::raise_limit(&load) {
            break (format!("the limit of files: {sentence}"), false);
        }
        let summary = soak(load, interrupted(), |_| ()).map_err(Failure::impossible)?;
        let observed = summary.thresholds.first().and_then(|judgement| judgement.observed);
        let shown = summary.thresholds.first().map_or(String::new(), |judgement| {
            observed.map_or("nothing".to_owned(), |observed| judgement.unit().format(observed))
        });
        terminal::complain(&format!("{clients} clients: {shown}"));
        // Writing to a string does not fail.
        let _is_written = writeln!(table, "  {clients:>9}  {shown:>12}");
        points.extend(observed.map(|observed| (f64::from(clients), observed)));
        if summary.interrupted {
            break ("an interruption".to_owned(), true);
        }
        if let Some(cause) = cause_of_failure(&summary, clients) {
            break (cause, false);
        }
        clients += options.step;
    };
    let served = clients - options.step;
    terminal::print(&format!(
        "    clients  {:>12}\n{table}\n{served} clients can be served; with {clients} the test ended with {cause}\n",
        "figure"
    ))?;
    if let Some(path) = &options.plot {
        write_file(path, page::capacity(&options.until, &points))?;
    }
    Ok(match (is_interrupted, points.is_empty()) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::NothingRan,
        (false, false) => Exit::Held,
    })
}

fn load(
    options: &Options,
    (address, trust): (&Address, &Trust),
    clients: u32,
    server: Option<u32>,
) -> SoakOptions {
    let ramp = Duration::from_secs(u64::from(clients.div_ceil(RATE)));
    let plan = Plan::stages(vec![(clients, ramp), (clients, options.period * HOLD)]);
    let mut scenario = Scenario::fanout(clients, plan.duration(), options.period);
    scenario.name = "capacity".to_owned();
    SoakOptions {
        address: address.clone(),
        trust: trust.clone(),
        dialect: Dialect::default(),
        scenario,
        plan,
        seed: 1,
        shard: (1, 1),
        thresholds: vec![options.until],
        server,
        is_served: options.serve,
    }
}

/// What failed under this load; `None` if the server can be given more clients.
fn cause_of_failure(summary: &Summary, clients: u32) -> Option<String> {
    let counts = summary.metrics.as_ref().map(|metrics| metrics.counts).unwrap_or_default();
    let crossed = summary.thresholds.iter().find(|judgement| !judgement.held);
    if counts.connect_failures > u64::from(clients) / FULL {
        return Some(format!("a refusal: {} connections were not made", counts.connect_failures));
    }
    if let Some(free) = free_memory().filter(|free| *free < EXHAUSTED) {
        return Some(format!("memory: {free} % of the machine's is left"));
    }
    if let Some(judgement) = crossed {
        let observed = judgement.observed.map_or("nothing was observed".to_owned(), |observed| {
            format!("{} observed", judgement.unit().format(observed))
        });
        return Some(format!("the threshold {}: {observed}", judgement.threshold));
    }
    let broken = summary.guarantees.iter().find(|entry| entry.verdict == Verdict::Violated)?;
    Some(format!("a guarantee: {} {}, {}", broken.id, broken.name, broken.evidence.first()?))
}

/// The share of this machine's memory that is available, in per cent; `None` where the system does not say.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(kibibytes("MemAvailable:")? * 100 / kibibytes("MemTotal:")?.max(1))
}
