//! The paused arm: any async server on a tokio runtime whose clock stands still until the world moves it.

mod clock;
mod service;
#[cfg(feature = "live")]
mod shell;
mod stream;

use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carillon_server::{Timestamp, WallTime};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::network::Network;
use crate::network::link::{End, LinkId};
use crate::oracle::census::Census;
use crate::world::target::{Advance, Target};

pub use clock::VirtualClock;
pub use service::{LocalFuture, Service};
#[cfg(feature = "live")]
pub use shell::ShellService;
pub use stream::Stream;

use stream::{Activity, Pipe, RECEIVE_BUFFER, lock};

/// How many bytes a server may write on one link before the world collects them.
const ROOM: usize = 1 << 20;

/// How many bytes a third-party server may hold for one client: a server that holds more has no bound.
const FOREIGN_BUFFER: u64 = 1 << 20;

/// The resolution of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

/// An async server as a target.
///
/// Its clock is tokio's, in whole milliseconds, and may be less than one ahead of the world's: all that happens within
/// a millisecond reaches the server as one batch. It moves only when every task waits, so that nothing the server does
/// takes time.
pub struct PausedTarget {
    runtime: Runtime,
    tasks: LocalSet,
    start: Box<dyn Fn(VirtualClock) -> Rc<dyn Service>>,
    service: Rc<dyn Service>,
    clock: VirtualClock,
    activity: Arc<Activity>,
    /// The pipes, indexed by link.
    pipes: Vec<Option<Arc<Mutex<Pipe>>>>,
    /// The server may have more to do before time passes.
    is_busy: bool,
    /// The server is a third-party server, which the oracle judges more generously.
    is_foreign: bool,
}

impl std::fmt::Debug for PausedTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PausedTarget").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl PausedTarget {
    /// Starts a server at the origin of time. `start` runs inside the runtime and may spawn tasks; a restart calls it
    /// again.
    ///
    /// # Errors
    ///
    /// The runtime could not be built.
    pub fn new<S: Service + 'static>(
        wall_origin: WallTime,
        start: impl Fn(VirtualClock) -> S + 'static,
    ) -> std::io::Result<Self> {
        let runtime = paused_runtime()?;
        let wall_origin = Arc::new(AtomicI64::new(wall_origin.as_unix_nanos()));
        let clock = VirtualClock::new(&runtime, Timestamp::ZERO, wall_origin);
        let start = Box::new(move |clock| Rc::new(start(clock)) as Rc<dyn Service>);
        let tasks = LocalSet::new();
        let service = tasks.block_on(&runtime, async { start(clock.clone()) });
        Ok(Self {
            runtime,
            tasks,
            start,
            service,
            clock,
            activity: Arc::default(),
            pipes: Vec::new(),
            is_busy: true,
            is_foreign: false,
        })
    }

    /// Marks the server as a third-party server: it may render a text when it sends it (G6), and what it holds for one
    /// client must be bounded, but may exceed the scenario's outbox (G10).
    #[must_use]
    pub fn foreign(self) -> Self {
        Self { is_foreign: true, ..self }
    }

    /// Runs the server until it has acted, or until its clock shows `until` and every task waits.
    fn run_until(&mut self, until: Timestamp) -> bool {
        let deadline = self.clock.instant_of(until);
        let activity = &self.activity;
        self.tasks.block_on(&self.runtime, async {
            tokio::select! {
                biased;
                () = activity.wait() => true,
                () = tokio::time::sleep_until(deadline) => false,
            }
        })
    }

    fn now(&self) -> Timestamp {
        let _guard = self.runtime.enter();
        self.clock.timestamp()
    }

    /// Transfers the server's actions to the network.
    fn collect(&mut self, net: &mut Network) {
        for link in self.activity.take_links() {
            let Some(Some(pipe)) = self.pipes.get(link.index()) else { continue };
            let mut pipe = lock(pipe);
            pipe.unmark();
            if pipe.is_full && !pipe.has_unread() {
                pipe.is_full = false;
                net.resume(link);
            }
            let written = std::mem::take(&mut pipe.outbound);
            net.send(link, &written);
            net.set_blocked(link, pipe.is_refused);
            pipe.make_room(net.room(link, ROOM));
            if pipe.is_shut {
                net.shutdown(link);
            }
            if let Some(end) = pipe.dropped {
                net.drop_stream(link, end);
            }
        }
    }

    fn collect_log(&self, net: &mut Network) {
        for line in self.service.log_lines() {
            net.log_line(line);
        }
    }

    fn with_pipe(&mut self, link: LinkId, act: impl FnOnce(&mut Pipe)) {
        self.is_busy = true;
        if let Some(Some(pipe)) = self.pipes.get(link.index()) {
            act(&mut lock(pipe));
        }
    }
}

impl Target for PausedTarget {
    fn accept(&mut self, link: LinkId, net: &mut Network) {
        let (pipe, stream) = stream::pipe(link, &self.activity, net.room(link, ROOM));
        if link.index() >= self.pipes.len() {
            self.pipes.resize(link.index() + 1, None);
        }
        self.pipes[link.index()] = Some(pipe);
        self.is_busy = true;
        let service = Rc::clone(&self.service);
        // The task calls `serve`, because the server may read the clock or spawn a task.
        self.tasks.spawn_local(async move { service.serve(stream).await });
    }

    fn receive(&mut self, link: LinkId, bytes: &[u8], _: &mut Network) -> usize {
        self.is_busy = true;
        let pipe = self.pipes.get(link.index()).and_then(Option::as_ref);
        pipe.map_or(bytes.len(), |pipe| lock(pipe).push(bytes))
    }

    fn writable(&mut self, link: LinkId, net: &mut Network) {
        net.set_blocked(link, false);
        let room = net.room(link, ROOM);
        self.with_pipe(link, |pipe| pipe.make_room(room));
    }

    fn made_room(&mut self, link: LinkId, net: &mut Network) {
        if let Some(Some(pipe)) = self.pipes.get(link.index()) {
            lock(pipe).set_room(net.room(link, ROOM));
        }
    }

    fn end(&mut self, link: LinkId, _: &mut Network) {
        self.with_pipe(link, |pipe| pipe.end(End::Finished));
    }

    fn reset(&mut self, link: LinkId, _: &mut Network) {
        self.with_pipe(link, |pipe| pipe.end(End::Reset));
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn advance(&mut self, limit: Timestamp, net: &mut Network) -> Advance {
        let now = self.now();
        if limit <= now {
            // All events within one millisecond reach the server together.
            return Advance::Reached;
        }
        let barrier = now + TICK;
        let until = if self.is_busy { barrier } else { round_up(limit).max(barrier) };
        let has_acted = self.run_until(until);
        net.now = net.now.max(self.now());
        self.collect_log(net);
        if has_acted {
            self.is_busy = true;
            self.collect(net);
            return Advance::Acted;
        }
        if self.is_busy {
            self.is_busy = false;
            return Advance::Idle;
        }
        Advance::Reached
    }

    fn drain(&mut self, _: &mut Network) -> bool {
        let service = Rc::clone(&self.service);
        let drain = self.tasks.block_on(&self.runtime, async move { service.drain() });
        self.is_busy = true;
        drain.map(|drain| self.tasks.spawn_local(drain)).is_some()
    }

    fn resume(&mut self, net: &mut Network) {
        let behind = round_up(net.now().at).since(self.now());
        self.is_busy = true;
        self.tasks.block_on(&self.runtime, tokio::time::advance(behind));
        net.now = net.now.max(self.now());
    }

    fn set_clock(&mut self, net: &mut Network) {
        self.clock.wall_origin.store(net.wall_origin.as_unix_nanos(), Relaxed);
    }

    /// Drops all tasks at once, as at the end of a process: the local tasks, and those that the server has spawned on
    /// the runtime.
    fn restart(&mut self, net: &mut Network) -> bool {
        let Ok(runtime) = paused_runtime() else { return false };
        let now = self.now();
        self.pipes.clear();
        {
            let _guard = self.runtime.enter();
            self.tasks = LocalSet::new();
        }
        self.runtime = runtime;
        self.activity.take_links();
        self.clock = VirtualClock::new(&self.runtime, now, Arc::clone(&self.clock.wall_origin));
        let (start, clock) = (&self.start, self.clock.clone());
        self.service = self.tasks.block_on(&self.runtime, async { start(clock) });
        self.is_busy = true;
        net.now = net.now.max(self.now());
        true
    }

    fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    fn buffer_allowance(&self) -> u64 {
        // The receive buffer, and what a library buffers on reads and writes.
        let allowance = 4 * RECEIVE_BUFFER as u64;
        if self.is_foreign { FOREIGN_BUFFER } else { allowance }
    }

    fn has_unread(&self, link: LinkId) -> bool {
        let pipe = self.pipes.get(link.index()).and_then(Option::as_ref);
        pipe.is_some_and(|pipe| lock(pipe).has_unread())
    }

    fn census(&self) -> Option<Census> {
        self.service.census()
    }
}

fn paused_runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_time().start_paused(true).build()
}

/// The next whole millisecond.
fn round_up(at: Timestamp) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos().next_multiple_of(TICK.as_nanos() as u64))
}
