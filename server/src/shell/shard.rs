//! One shard: a hub, its streams, and the loop that wakes the hub in time.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::announcer::Announcer;
use crate::config::{Config, ConfigError};
use crate::hub::{Census, Counters, Hub};
use crate::log::LogLine;
use crate::shell::clock::Clock;
use crate::shell::connection::Connection;
use crate::shell::fanout::Fanout;
use crate::shell::log::Log;
use crate::shell::socket::Socket;
use crate::shell::streams::{Slot, Streams};
use crate::time::{Now, Timestamp};

/// What one read takes at most, in bytes. All connections of a shard share the one buffer; a client whose answers are
/// refused holds at most this much of its input, and no more than half of its outbox limit (or 1 KiB).
const READ_BUFFER: usize = 16 << 10;

/// How long something due waits at most while other tasks of the thread are served: whoever comes next then does a slice
/// of it first. In a storm of handshakes thousands of tasks may stand in line before [`Shard::run`].
const PATIENCE: Duration = Duration::from_millis(5);

/// One single-threaded part of a server: a hub and its streams. A clone is another handle to the same shard.
///
/// Somebody must run [`Shard::run`], and one task per connection the future that [`Shard::serve`] returns, all on one
/// thread. An idle connection costs its task and one slot: no buffer, no timer, no channel.
pub struct Shard<S: Socket>(Rc<Inner<S>>);

struct Inner<S> {
    state: RefCell<State<S>>,
    announcer: Arc<Mutex<Announcer>>,
    clock: Arc<dyn Clock>,
    /// The next timeout became an earlier one than [`Shard::run`] sleeps until.
    is_due_earlier: Notify,
    /// The last connection has gone.
    is_empty: Notify,
}

pub(super) struct State<S> {
    pub(super) hub: Hub,
    pub(super) streams: Streams<S>,
    pub(super) buffer: Box<[u8]>,
    /// The last cycle that this shard was told of.
    cycle: u64,
    /// When the announcer is to be asked again.
    next_cycle: Timestamp,
    /// What [`Shard::run`] sleeps until.
    alarm: Timestamp,
    /// When a connection's task first saw that something is due; `None` if a slice of it was done since.
    overdue_since: Option<Timestamp>,
}

impl<S: Socket> State<S> {
    /// Whether something due has waited long enough. That counts from when somebody saw it, not from when it fell due:
    /// after a pause of the whole process nobody has been served in the meantime.
    fn is_overdue(&mut self, now: Now) -> bool {
        let due = self.hub.poll_timeout().unwrap_or(Timestamp::MAX).min(self.next_cycle);
        due <= now.at && now.at.since(*self.overdue_since.get_or_insert(now.at)) > PATIENCE
    }
}

impl<S: Socket> Clone for Shard<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: Socket> Shard<S> {
    /// What an idle connection holds of a shard beside its hub's [`Hub::FOOTPRINT`], by part, in bytes; what tokio needs
    /// for a task and a socket comes on top.
    pub const FOOTPRINT: [(&str, usize); 2] =
        [("slot with the stream", size_of::<Slot<S>>()), ("future of the task", size_of::<Connection<S>>())];

    /// A shard without connections, which delivers the pushes of `announcer`. `seed` decides the jitter of its pings.
    ///
    /// # Errors
    ///
    /// A configuration with which the promises cannot be kept; see [`Config::validate`].
    pub fn new(
        config: Config,
        announcer: Arc<Mutex<Announcer>>,
        clock: Arc<dyn Clock>,
        log: Arc<dyn Log>,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let state = State {
            streams: Streams::new(config.close_timeout, log),
            hub: Hub::new(config, seed)?,
            buffer: vec![0; READ_BUFFER].into(),
            cycle: 0,
            next_cycle: Timestamp::ZERO,
            alarm: Timestamp::ZERO,
            overdue_since: None,
        };
        Ok(Self(Rc::new(Inner {
            state: RefCell::new(state),
            announcer,
            clock,
            is_due_earlier: Notify::new(),
            is_empty: Notify::new(),
        })))
    }

    /// How fan-outs are written from now on; until this is called, [`Fanout::portable`].
    pub fn set_fanout(&self, fanout: Fanout) {
        self.0.state.borrow_mut().streams.set_fanout(fanout);
    }

    /// Takes a new connection and returns its task, which ends with it. Dropping the task earlier cuts the client off.
    ///
    /// One that is not admitted is told that the server is full once it has asked.
    pub fn serve(&self, stream: S, is_admitted: bool) -> Connection<S> {
        let ticket = self.with(|state, now| {
            let id = state.hub.handle_connect(now, is_admitted);
            state.streams.insert(id, stream)
        });
        Connection::new(self.clone(), ticket)
    }

    /// Wakes the hub whenever something is due, and never ends.
    ///
    /// Between two slices of a fan-out all tasks of the thread get their turn.
    pub fn run(&self) -> impl Future<Output = ()> + use<S> {
        let shard = self.clone();
        async move {
            loop {
                let (alarm, now) = shard.tick();
                if alarm <= now.at {
                    tokio::task::yield_now().await;
                    continue;
                }
                tokio::select! {
                    biased;
                    () = shard.0.is_due_earlier.notified() => {}
                    () = tokio::time::sleep_until(shard.0.clock.instant(alarm)) => {}
                }
            }
        }
    }

    /// Every client gets its Close behind what is queued for it. Stop the announcer first; a push that it has announced
    /// by then is still delivered, as other shards may have done so already. See [`Shard::emptied`] for the end.
    pub fn drain(&self) {
        self.with(|state, now| {
            self.collect_pushes(state, now);
            state.hub.handle_drain(now, &mut state.streams);
        });
    }

    /// Waits until no connection is left.
    pub fn emptied(&self) -> impl Future<Output = ()> + use<S> {
        let shard = self.clone();
        async move {
            loop {
                // Created before the look, so that no notification falls in between.
                let notified = shard.0.is_empty.notified();
                if shard.0.state.borrow().streams.is_empty() {
                    return;
                }
                notified.await;
            }
        }
    }

    /// What the hub holds at the moment.
    pub fn census(&self) -> Census {
        self.0.state.borrow().hub.census()
    }

    /// What happened in the hub so far.
    pub fn counters(&self) -> Counters {
        self.0.state.borrow().hub.counters()
    }

    /// Lets `act` use the state, with what must follow an input. Nothing that can be awaited happens in between.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State<S>, Now) -> R) -> R {
        let now = self.0.clock.now();
        let state = &mut *self.0.state.borrow_mut();
        state.streams.set_now(now);
        let result = act(state, now);
        if state.hub.poll_timeout().is_some_and(|next| next < state.alarm) {
            state.alarm = Timestamp::ZERO;
            self.0.is_due_earlier.notify_one();
        }
        if state.streams.is_empty() {
            self.0.is_empty.notify_waiters();
        }
        result
    }

    /// Does one slice of what is due, and says when to come again.
    fn tick(&self) -> (Timestamp, Now) {
        self.with(|state, now| {
            self.slice(state, now);
            (state.alarm, now)
        })
    }

    /// The turn of one connection's task.
    pub(super) fn turn<R>(&self, act: impl FnOnce(&mut State<S>, Now) -> R) -> R {
        self.with(|state, now| {
            if state.is_overdue(now) {
                self.slice(state, now);
            }
            act(state, now)
        })
    }

    fn slice(&self, state: &mut State<S>, now: Now) {
        if now.at >= state.next_cycle {
            self.collect_pushes(state, now);
        }
        state.hub.handle_timeout(now, &mut state.streams);
        let next = state.hub.poll_timeout().unwrap_or(Timestamp::MAX);
        state.alarm = next.min(state.next_cycle);
        state.overdue_since = None;
    }

    /// Hands new pushes to the hub. The announcer is held for the question alone.
    fn collect_pushes(&self, state: &mut State<S>, now: Now) {
        let mut announcer = self.0.announcer.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = announcer.handle_timeout(now);
        for push in announcer.pushes_after(state.cycle) {
            state.cycle = push.cycle();
            state.hub.handle_push(Arc::clone(push));
        }
        state.next_cycle = announcer.poll_timeout().unwrap_or(Timestamp::MAX);
        drop(announcer);
        if skipped > 0 {
            state.streams.note(&LogLine::Skipped { cycles: skipped });
        }
    }
}
