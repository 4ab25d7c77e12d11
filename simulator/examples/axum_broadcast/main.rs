//! Puts a server on trial that uses axum's WebSocket and a broadcast channel.

mod server;

use std::process::ExitCode;

use axum::serve::Listener;
use carillon_simulator::paused::{Stream, VirtualClock};
use carillon_simulator::{Scenario, trial};
use tokio::sync::{broadcast, mpsc};

const COMMAND: &str = "cargo run --release -p carillon-simulator --example axum_broadcast --";

fn main() -> ExitCode {
    trial::main(COMMAND, |scenario: &Scenario, clock: VirtualClock| {
        let (pushes, _) = broadcast::channel(server::CAPACITY);
        let zone = scenario.zone.clone();
        tokio::spawn(server::tick(pushes.clone(), scenario.server.period, move || zone.civil(clock.wall())));
        let (accept, accepted) = mpsc::unbounded_channel();
        tokio::spawn(
            axum::serve(Accepted(accepted), server::app(pushes, scenario.server.max_message)).into_future(),
        );
        move |stream: Stream| {
            let is_accepted = accept.send(stream);
            async move { is_accepted.expect("axum listens as long as the server lives") }
        }
    })
}

/// The listener from which axum accepts connections, instead of a socket.
struct Accepted(mpsc::UnboundedReceiver<Stream>);

impl Listener for Accepted {
    type Io = Stream;
    type Addr = ();

    async fn accept(&mut self) -> (Stream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}
