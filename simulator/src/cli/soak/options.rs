//! The options of `carillon-sim soak`, and the load that they describe.

use std::path::PathBuf;
use std::time::Duration;

use carillon_simulator::exit::{self, Exit};
use carillon_simulator::live::Address;
use carillon_simulator::live::soak::{Plan, SoakOptions};
use carillon_simulator::metrics::Threshold;
use carillon_simulator::recipe::{Source, parse_clients};
use carillon_simulator::units::{parse_seed, parse_span};
use carillon_simulator::{Scenario, scenario_file};
use clap::Args;

use crate::cli::dialect::dialect;
use crate::cli::failure::Failure;
use crate::cli::trust::TrustOptions;

/// The default seed. It is fixed, so that two loads can be compared.
const SEED: &str = "1";

#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = exit::help(
    "Thresholds have the grammar of k6: a metric, an aggregate, a bound.\n\n    \
     carillon-sim soak --serve --clients 15k --for 10m --threshold 'push_latency:p(99)<250ms'\n    \
     carillon-sim soak ws://10.0.0.7/ws --period 5m --plan '1000,30s;10k,5m;0,10s' --shard 2/5 --json part-2.json",
    &Exit::ALL
))]
pub(crate) struct Options {
    /// The server, such as ws://127.0.0.1:8080/ws or wss://example.org/ws
    #[arg(required_unless_present = "serve", conflicts_with = "serve", value_parser = Address::parse)]
    pub(super) url: Option<Address>,

    /// Start the reference server, and put the load on it
    #[arg(long)]
    pub(super) serve: bool,

    /// Time between two pushes of the server [default with --serve: 5s]
    #[arg(long, value_name = "TIME", required_unless_present = "serve", value_parser = parse_span)]
    pub(super) period: Option<Duration>,

    /// Number of clients
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = parse_clients)]
    clients: u32,

    /// Duration of the load
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = parse_span)]
    duration: Duration,

    /// Stages instead of --clients and --for: clients and time of each, such as 1000,30s;10k,5m;0,10s
    #[arg(long, value_name = "STAGES", conflicts_with_all = ["clients", "duration"])]
    plan: Option<Plan>,

    /// What the clients do: a name of `carillon-sim list`, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "churn")]
    scenario: Source,

    /// The seed, which decides what each client does
    #[arg(long, value_name = "SEED", default_value = SEED, value_parser = parse_seed)]
    seed: u64,

    /// A bound for a figure; may be given several times
    #[arg(long = "threshold", value_name = "BOUND")]
    pub(super) thresholds: Vec<Threshold>,

    /// Number of processes that share the clients; each has its own limit of files, and uses a core
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=250))]
    pub(super) workers: u32,

    /// The part of the load that this machine runs, if several machines share it, such as 2/5
    #[arg(long, value_name = "PART", default_value = "1/1", value_parser = parse_shard)]
    shard: (u32, u32),

    /// The server's own commands and texts: a TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) dialect: Option<PathBuf>,

    #[command(flatten)]
    pub(super) trust: TrustOptions,

    /// The server's process on this machine; the report has its memory and processor time
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) pid: Option<u32>,

    /// Write the outcome to this file as JSON; - prints it in the place of the text
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Report progress to another process
    #[arg(long, hide = true)]
    pub(super) is_worker: bool,
}

impl Options {
    /// The stages of the load.
    fn plan(&self) -> Plan {
        self.plan.clone().unwrap_or_else(|| Plan::steady(self.clients, self.duration))
    }

    /// The load on the server at this address, which pushes once a period.
    pub(super) fn load(
        &self,
        address: Address,
        period: Duration,
        server: Option<u32>,
    ) -> Result<SoakOptions, Failure> {
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

    use super::*;
    use crate::cli::testing;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        testing::parse("soak", arguments)
    }

    #[test]
    fn a_plan_replaces_clients_and_time() {
        let options = parse(&["--serve", "--plan", "10,1s;0,1s"]).unwrap();
        assert_eq!(options.plan().most(), 10);
        assert_eq!(parse(&["--serve", "--plan", "10,1s", "--clients", "5"]).unwrap_err().exit_code(), 2);
        let steady = parse(&["--serve", "--clients", "2k", "--for", "1m"]).unwrap().plan();
        assert_eq!((steady.most(), steady.duration()), (2000, Duration::from_secs(60)));
    }

    #[test]
    fn options_that_contradict_each_other_are_usage_errors() {
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
