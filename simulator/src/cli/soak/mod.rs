//! `carillon-sim soak`: a load of virtual clients on a real server, judged all the time.

mod display;
pub(super) mod workers;

use std::path::PathBuf;
use std::time::Duration;

use carillon_simulator::exit::{self, Exit};
use carillon_simulator::live::Serving;
use carillon_simulator::live::soak::{Plan, SoakOptions, soak};
use carillon_simulator::live::{Address, interrupted};
use carillon_simulator::metrics::Threshold;
use carillon_simulator::recipe::{Source, parse_clients};
use carillon_simulator::report::{Summary, SummaryReport};
use carillon_simulator::units::{parse_seed, parse_span};
use carillon_simulator::{Scenario, scenario_file};
use clap::Args;

use self::display::Display;
use super::output::JsonOutput;
use super::trust::TrustOptions;
use super::{Failure, dialect, merge, terminal};

/// The seed, unless somebody says otherwise: two loads are to be comparable.
const SEED: &str = "1";

/// The period of a server that is started here.
const PERIOD: Duration = Duration::from_secs(5);

#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = exit::help(
    "Thresholds have the grammar of k6: a metric, an aggregate, a bound.\n\n    \
     carillon-sim soak --serve --clients 15k --for 10m --threshold 'push_latency:p(99)<250ms'\n    \
     carillon-sim soak ws://10.0.0.7/ws --period 5m --plan '1000,30s;10k,5m;0,10s' --shard 2/5 --json part-2.json"
))]
pub(crate) struct Options {
    /// The server, such as ws://127.0.0.1:8080/ws or wss://example.org/ws
    #[arg(required_unless_present = "serve", conflicts_with = "serve", value_parser = Address::parse)]
    url: Option<Address>,

    /// Start the reference server, and put the load on that
    #[arg(long)]
    serve: bool,

    /// Time between two pushes of the server [default with --serve: 5s]
    #[arg(long, value_name = "TIME", required_unless_present = "serve", value_parser = parse_span)]
    period: Option<Duration>,

    /// How many clients there are
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = parse_clients)]
    clients: u32,

    /// How long it goes on
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = parse_span)]
    duration: Duration,

    /// Stages in the place of those two: clients and time of each, such as 1000,30s;10k,5m;0,10s
    #[arg(long, value_name = "STAGES", conflicts_with_all = ["clients", "duration"])]
    plan: Option<Plan>,

    /// What the clients do: a name of `carillon-sim list`, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "churn")]
    scenario: Source,

    /// Decides what each client does
    #[arg(long, value_name = "SEED", default_value = SEED, value_parser = parse_seed)]
    seed: u64,

    /// A bound for what is measured; may be given several times
    #[arg(long = "threshold", value_name = "BOUND")]
    thresholds: Vec<Threshold>,

    /// Processes that share the clients, each with files and a core of its own
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=250))]
    workers: u32,

    /// Which part of the load this is, where several machines share it, such as 2/5
    #[arg(long, value_name = "PART", default_value = "1/1", value_parser = parse_shard)]
    shard: (u32, u32),

    /// How the server words things: a TOML file
    #[arg(long, value_name = "FILE")]
    dialect: Option<PathBuf>,

    #[command(flatten)]
    trust: TrustOptions,

    /// The server's process on this machine, whose memory and processor time are noted
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(2..))]
    pid: Option<u32>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Tell another process how it goes
    #[arg(long, hide = true)]
    is_worker: bool,
}

/// Puts the load on and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let period = options.period.unwrap_or(PERIOD);
    let json = JsonOutput::open(options.json.as_deref())?;
    let serving = if options.serve { Some(serve(period)?) } else { None };
    let address = match (&serving, &options.url) {
        (Some(serving), _) => Address::parse(&serving.url()).map_err(Failure::Impossible)?,
        (None, Some(url)) => url.clone(),
        (None, None) => return Err(Failure::Usage("name a server, or say --serve".to_owned())),
    };
    let server = serving.as_ref().and_then(Serving::pid).or(options.pid);
    let load = options.load(address, period, server)?;
    if !options.is_worker {
        options.trust.warn();
    }
    let summary = if options.workers > 1 {
        workers::share(options, &load)?
    } else {
        workers::raise_limit(&load)?;
        run(options, load)?
    };
    drop(serving);
    if json.leaves_stdout() {
        terminal::print(&SummaryReport { summary: &summary, palette: terminal::palette() }.to_string())?;
        terminal::print(&evidence(&summary))?;
    }
    json.write(&summary)?;
    Ok(merge::exit_of(&summary))
}

fn run(options: &Options, load: SoakOptions) -> Result<Summary, Failure> {
    if options.is_worker {
        workers::end_with_parent();
    }
    let mut display = Display::new(&load.size(), options.is_worker);
    soak(load, interrupted(), move |progress| display.show(progress))
        .map_err(|error| Failure::Impossible(error.to_string()))
}

fn serve(period: Duration) -> Result<Serving, Failure> {
    Serving::start(period).map_err(|error| Failure::Impossible(format!("cannot start the server: {error}")))
}

/// What broke, and what is in doubt, below the table.
fn evidence(summary: &Summary) -> String {
    let entries = summary.guarantees.iter();
    let mut lines: Vec<String> = entries
        .flat_map(|entry| entry.evidence.iter().map(move |sentence| format!("  {:<5}{sentence}\n", entry.id)))
        .collect();
    // Several workers may have found the same.
    lines.dedup();
    format!("\n{}  repeat with\n  {}\n", lines.concat(), summary.repeat)
}

impl Options {
    fn plan(&self) -> Plan {
        self.plan.clone().unwrap_or_else(|| Plan::steady(self.clients, self.duration))
    }

    fn load(&self, address: Address, period: Duration, server: Option<u32>) -> Result<SoakOptions, Failure> {
        let plan = self.plan();
        let mut scenario = match &self.scenario {
            Source::File(path) => scenario_file::load(path)?,
            Source::Named(name) => Scenario::named(name, plan.most(), plan.duration(), period, self.seed)
                .ok_or_else(|| Failure::Usage(format!("there is no scenario {name}")))?,
        };
        scenario.server.period = period;
        scenario.clients = plan.most();
        scenario.duration = plan.duration();
        scenario.check().map_err(|misfit| Failure::Usage(misfit.to_string()))?;
        Ok(SoakOptions {
            trust: self.trust.trust(address.is_secure())?,
            address,
            dialect: dialect(self.dialect.as_deref())?,
            scenario,
            plan,
            seed: self.seed,
            shard: self.shard,
            thresholds: self.thresholds.clone(),
            server,
            is_served: self.serve,
        })
    }
}

fn parse_shard(text: &str) -> Result<(u32, u32), String> {
    let expected = || "write a part and the number of parts, such as 2/5".to_owned();
    let (part, parts) = text.split_once('/').ok_or_else(expected)?;
    let parse = |digits: &str| digits.parse::<u32>().map_err(|_| expected());
    match (parse(part)?, parse(parts)?) {
        (part, parts) if (1..=parts).contains(&part) && parts <= 60_000 => Ok((part, parts)),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["carillon-sim", "soak"].iter().chain(arguments);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Soak(options) => *options,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_plan_takes_the_place_of_clients_and_time() {
        let options = parse(&["--serve", "--plan", "10,1s;0,1s"]).unwrap();
        assert_eq!(options.plan().most(), 10);
        assert_eq!(parse(&["--serve", "--plan", "10,1s", "--clients", "5"]).unwrap_err().exit_code(), 2);
        let steady = parse(&["--serve", "--clients", "2k", "--for", "1m"]).unwrap().plan();
        assert_eq!((steady.most(), steady.duration()), (2000, Duration::from_secs(60)));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for arguments in [
            &[] as &[&str],
            &["ws://h/ws"],
            &["ws://h/ws", "--serve"],
            &["--serve", "--shard", "3/2"],
            &["--serve", "--shard", "0/2"],
            &["--serve", "--threshold", "nothing<1"],
            &["--serve", "--workers", "0"],
        ] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }
}
