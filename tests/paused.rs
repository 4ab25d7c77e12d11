//! The paused arm is fair to servers of another design than the reference server's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use carillon_simulator::paused::{PausedTarget, Stream};
use carillon_simulator::{Behaviour, Guarantee, Rng, Scenario, Trace, World};
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

const HOUR: Duration = Duration::from_secs(3600);
const PERIOD: Duration = Duration::from_secs(300);

/// The server reads while its writer waits for the link. The link must wake the writer nevertheless.
#[test]
fn a_server_that_reads_and_writes_in_two_tasks_answers_every_flooder() {
    let slow = Scenario::named("slow", 20, HOUR, PERIOD, 1).expect("it is built in");
    let scenario = Scenario { population: vec![(Behaviour::Flooder, 1)], ..slow };
    let target = PausedTarget::new(scenario.wall_origin, |_clock| echo_in_two_tasks).expect("a runtime");
    let score = World::new(scenario, target, &Rng::new(1), Trace::default()).run(|_| ()).score;
    let tally = score.tallies[Guarantee::G8.index()];
    assert_eq!(tally.violations, 0, "{tally:?}");
    assert!(tally.exercised > 1000, "{tally:?}");
}

async fn echo_in_two_tasks(stream: Stream) {
    let Ok(socket) = accept_async(stream).await else { return };
    let (mut sink, mut messages) = socket.split();
    let (replies, mut outbox) = mpsc::channel(4);
    let writer = tokio::spawn(async move {
        while let Some(reply) = outbox.recv().await {
            if sink.send(reply).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = messages.next().await {
        let Message::Text(text) = message else { continue };
        let is_command = ["subscribe", "unsubscribe"].contains(&text.as_str());
        let reply = Message::text(format!("Server received: {text}"));
        if !is_command && replies.send(reply).await.is_err() {
            break;
        }
    }
    writer.abort();
}

#[test]
fn a_restart_ends_what_the_server_has_spawned() {
    let storm = Scenario::named("storm", 5, 4 * HOUR, PERIOD, 1).expect("it is built in");
    let (starts, alive) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&starts), Arc::clone(&alive));
    let target = PausedTarget::new(storm.wall_origin, move |_clock| {
        let (starts, alive) = &counters;
        starts.fetch_add(1, Ordering::Relaxed);
        assert_eq!(alive.load(Ordering::Relaxed), 0, "a task has outlived its server");
        let task = Alive::new(alive);
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(task);
        });
        echo_in_two_tasks
    });
    World::new(storm, target.expect("a runtime"), &Rng::new(1), Trace::default()).run(|_| ());
    assert_eq!(starts.load(Ordering::Relaxed), 4, "a start and three restarts");
}

/// Counts itself from its creation until it is dropped.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
