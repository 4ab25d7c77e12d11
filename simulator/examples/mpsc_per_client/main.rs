//! Puts a server on trial that uses tokio-tungstenite and a channel per client.

mod server;

use std::process::ExitCode;

use carillon_simulator::paused::{Stream, VirtualClock};
use carillon_simulator::{Scenario, trial};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const COMMAND: &str = "cargo run --release -p carillon-simulator --example mpsc_per_client --";

fn main() -> ExitCode {
    trial::main(COMMAND, |scenario: &Scenario, clock: VirtualClock| {
        let clients = server::Clients::default();
        let (config, zone) = (&scenario.server, scenario.zone.clone());
        tokio::spawn(clients.clone().tick(config.period, move || zone.civil(clock.wall())));
        let limits = WebSocketConfig::default().max_message_size(Some(config.max_message));
        move |stream: Stream| clients.clone().serve(stream, limits)
    })
}
