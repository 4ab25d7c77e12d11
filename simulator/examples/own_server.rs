//! Puts a server on trial: here an echo that knows nothing of pushes.

use std::time::Duration;

use carillon_simulator::paused::{PausedTarget, Stream};
use carillon_simulator::{Guarantee, Rng, Scenario, Trace, World};
use futures::{SinkExt, StreamExt};

async fn serve(stream: Stream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Ok(text) = message.to_text() else { return };
        let reply = format!("Server received: {text}");
        if message.is_text() && socket.send(reply.into()).await.is_err() {
            return;
        }
    }
}

fn main() {
    let day = Scenario::day(100, Duration::from_secs(6 * 3600), Duration::from_secs(300));
    let target = PausedTarget::new(day.wall_origin, |_clock| serve).expect("a runtime");
    let score = World::new(day, target, &Rng::new(1), Trace::default()).run(|_| ()).score;
    for guarantee in Guarantee::ALL {
        let tally = score.tallies[guarantee.index()];
        println!("{guarantee:<4} {:<31} {tally:?}", guarantee.name());
    }
}
