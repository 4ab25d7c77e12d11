use std::time::Duration;

use carillon_simulator::paused::Stream;
use carillon_simulator::trial::Trial;

#[path = "../simulator/examples/mpsc_per_client/server.rs"]
mod server;

#[test]
fn my_server_keeps_its_promises() {
    Trial::of(|scenario, clock| {
        let (clients, zone) = (server::Clients::default(), scenario.zone.clone());
        tokio::spawn(clients.clone().tick(scenario.server.period, move || zone.civil(clock.wall())));
        move |stream: Stream| clients.clone().serve(stream, Default::default())
    })
    .clients(50)
    .duration(Duration::from_secs(2 * 3600))
    .seeds(1..=4)
    .assert_held();
}
