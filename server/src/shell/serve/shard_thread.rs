//! The thread of one shard: its runtime, the tasks of its connections, and the report of its end.

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

/// The number of tasks that a shard polls before it asks the system for new events. A task does up to one buffer's
/// worth of work. With tokio's default of 61, a few clients that ask for more than others could delay all other
/// clients.
const POLLS: u32 = 8;

/// The data with which one thread runs its shard.
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

/// Reports the end of a shard's thread, also after a panic.
pub(super) struct Farewell {
    pub(super) tell: UnboundedSender<bool>,
    pub(super) is_in_order: bool,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // The send fails if the server no longer waits for this shard.
        self.tell.send(self.is_in_order).ok();
    }
}

impl ShardThread {
    /// Runs the shard to its end.
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

/// Belongs to a task. A panic of the task ends the shard, because the shard's state may be incomplete; tokio alone
/// would continue.
struct FailOnPanic(Rc<Notify>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.notify_one();
        }
    }
}

/// Spawns a task that notifies `failed` if it panics.
fn spawn(task: impl Future<Output = ()> + 'static, failed: &Rc<Notify>) {
    let guard = FailOnPanic(Rc::clone(failed));
    tokio::task::spawn_local(async move {
        let _guard = guard;
        task.await;
    });
}

/// Serves until no more connections can arrive, then drains.
///
/// At most 128 arrivals are taken at a time: that is tokio's budget for a task before other tasks get their turn.
async fn serve_arrivals(
    shard: Shard<TcpStream>,
    mut arrivals: UnboundedReceiver<Arrival>,
    failed: &Rc<Notify>,
) {
    spawn(shard.run(), failed);
    while let Some(Arrival { stream, place }) = arrivals.recv().await {
        // It fails on a socket that is closed already: its client has left.
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
    async fn a_task_that_panics_ends_its_shard_and_a_task_that_returns_does_not() {
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
