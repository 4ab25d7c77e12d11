//! The original app as a task over any stream. Its assertions hold on every arm.

use std::time::Duration;

use carillon_simulator::Rng;
use tokio_tungstenite::WebSocketStream;

use super::server::{Stream, fence, pushes, say};

/// Time between two pushes: long enough for a busy machine, and short enough to wait for a few.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);

const ROUNDS: u64 = 10;

/// Says hello, then flips its switch, sends heartbeats, waits for pushes and restarts, as the seed decides.
pub(crate) async fn live<S: Stream>(connect: impl AsyncFn() -> WebSocketStream<S>, mut rng: Rng) {
    let mut client = connect().await;
    let mut is_on = true;
    fence(&mut client, "Hello, Server!").await;
    for round in 0..ROUNDS {
        // Up to two cycles go by between two actions of a client.
        tokio::time::sleep(PERIOD * rng.below(200) as u32 / 100).await;
        match rng.below(5) {
            0 if is_on => {
                say(&mut client, "unsubscribe").await;
                fence(&mut client, &format!("off {round}")).await;
                is_on = false;
            }
            0 => {
                say(&mut client, "subscribe").await;
                is_on = true;
            }
            1 if is_on => drop(pushes(&mut client, 1 + rng.below(2) as usize).await),
            2 => {
                if rng.chance(500) {
                    client.close(None).await.expect("the server is there");
                }
                client = connect().await;
                is_on = true;
                fence(&mut client, "Hello, Server!").await;
            }
            _ => {
                let before = fence(&mut client, &format!("Heartbeat {round}")).await;
                assert!(is_on || before.is_empty(), "unsubscribed, but received {before:?}");
            }
        }
    }
}
