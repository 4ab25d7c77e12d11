//! The thread of one shard: its runtime, the tasks of its connections, and how its end is told.

use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::announcer::Announcer;
use crate::config::Config;
use crate::shell::clock::Clock;
use crate::shell::fanout::Fanout;
use crate::shell::log::Journal;
use crate::shell::shard::Shard;

use super::accept::Arrival;

/// How many tasks a shard polls before it asks the system what has come. Each does a buffer's worth of work at most, so
/// that with tokio's 61 a few clients who ask for more than others could keep all the rest waiting.
const POLLS: u32 = 8;

/// What one thread needs to run its shard.
pub(super) struct ShardThread {
    pub(super) config: Config,
    pub(super) announcer: Arc<Mutex<Announcer>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) journal: Arc<Journal>,
    pub(super) seed: u64,
    pub(super) fanout: Fanout,
    pub(super) arrivals: UnboundedReceiver<Arrival>,
    pub(super) over: Farewell,
}

/// Says that a shard's thread is over, a panic included.
pub(super) struct Farewell {
    pub(super) tell: UnboundedSender<bool>,
    pub(super) is_in_order: bool,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // The receiver is gone once the server has given up on this shard.
        self.tell.send(self.is_in_order).ok();
    }
}

impl ShardThread {
    /// The life of the thread.
    pub(super) fn run(self) {
        let mut over = self.over;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .event_interval(POLLS)
            .build_local(LocalOptions::default());
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                self.journal.note("failed", &format!("A shard cannot start: {error}"), self.clock.now());
                return;
            }
        };
        let shard = Shard::new(self.config, self.announcer, self.clock, self.journal, self.seed)
            .expect("the server has validated the configuration");
        shard.set_fanout(self.fanout);
        over.is_in_order = runtime.block_on(async {
            let failed = Rc::<Notify>::default();
            tokio::select! {
                biased;
                () = failed.notified() => false,
                () = serve_arrivals(shard, self.arrivals, &failed) => true,
            }
        });
    }
}

/// Of a task whose panic is the end of its shard: what it left half done is nothing to go on with, and tokio would.
struct FailOnPanic(Rc<Notify>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.notify_one();
        }
    }
}

/// Spawns a task that tells if it panics.
fn spawn(task: impl Future<Output = ()> + 'static, failed: &Rc<Notify>) {
    let guard = FailOnPanic(Rc::clone(failed));
    tokio::task::spawn_local(async move {
        let _guard = guard;
        task.await;
    });
}

/// Serves until no more connections can arrive, then drains.
///
/// Arrivals are taken 128 at a time, which is what tokio grants a task before others have their turn.
async fn serve_arrivals(
    shard: Shard<TcpStream>,
    mut arrivals: UnboundedReceiver<Arrival>,
    failed: &Rc<Notify>,
) {
    spawn(shard.run(), failed);
    while let Some(Arrival { stream, place }) = arrivals.recv().await {
        // It fails on a socket that is gone already: its client has left.
        let Ok(stream) = TcpStream::from_std(stream) else {
            continue;
        };
        let connection = shard.serve(stream, place.is_admitted);
        let serve = async move {
            connection.await;
            drop(place);
        };
        spawn(serve, failed);
    }
    shard.drain();
    shard.emptied().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_the_end_of_its_shard_and_one_that_ends_is_not() {
        let local = tokio::task::LocalSet::new();
        let failed = Rc::<Notify>::default();
        local.run_until(async { spawn(async {}, &failed) }).await;
        local.await;
        assert!(tokio_test::task::spawn(failed.notified()).poll().is_pending(), "nothing has failed");
        let local = tokio::task::LocalSet::new();
        local.run_until(async { spawn(async { panic!("on purpose") }, &failed) }).await;
        local.await;
        assert!(tokio_test::task::spawn(failed.notified()).poll().is_ready());
    }
}
