//! The server under load: one that `--serve` starts, or the one that a URL names.

use std::time::Duration;

use carillon_simulator::live::{Address, Serving};

use super::failure::Failure;

/// The address of the server under load. A server that is started here runs until its handle is dropped.
pub(crate) fn server_under_load(
    is_served: bool,
    url: Option<&Address>,
    period: Duration,
) -> Result<(Option<Serving>, Address), Failure> {
    if is_served {
        let serving = start(period)?;
        let address = Address::parse(&serving.url()).map_err(Failure::Impossible)?;
        return Ok((Some(serving), address));
    }
    match url {
        Some(url) => Ok((None, url.clone())),
        None => Err(Failure::Usage("give the URL of a server, or --serve".to_owned())),
    }
}

fn start(period: Duration) -> Result<Serving, Failure> {
    Serving::start(period).map_err(|error| Failure::Impossible(format!("cannot start the server: {error}")))
}
