//! `carillon-sim soak`: a load of virtual clients on a real server, judged throughout.

mod display;
mod options;
pub(super) mod workers;

pub(crate) use self::options::Options;

use std::time::Duration;

use carillon_simulator::exit::Exit;
use carillon_simulator::live::soak::{SoakOptions, soak};
use carillon_simulator::live::{Serving, interrupted};
use carillon_simulator::report::{EvidenceReport, Summary, SummaryReport};

use self::display::Display;
use super::failure::Failure;
use super::output::JsonOutput;
use super::serving::server_under_load;
use super::{merge, terminal};

/// The period of the reference server, if the command line has none.
const PERIOD: Duration = Duration::from_secs(5);

/// Runs the load and reports.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let period = options.period.unwrap_or(PERIOD);
    let json = JsonOutput::open(options.json.as_deref())?;
    let (serving, address) = server_under_load(options.serve, options.url.as_ref(), period)?;
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
    let table = SummaryReport { summary: &summary, palette: terminal::palette() };
    let evidence = EvidenceReport { summary: &summary };
    json.report(&format_args!("{table}{evidence}"), &summary)?;
    Ok(merge::exit_of(&summary))
}

fn run(options: &Options, load: SoakOptions) -> Result<Summary, Failure> {
    if options.is_worker {
        workers::end_with_parent();
    }
    let mut display = Display::new(&load.size(), options.is_worker);
    soak(load, interrupted(), move |progress| display.show(progress)).map_err(Failure::impossible)
}
