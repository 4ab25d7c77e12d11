//! What a shard holds, and one turn of it: input for the hub, a slice of what is due, new pushes.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::announcer::Announcer;
use crate::config::{Config, ConfigError};
use crate::hub::Hub;
use crate::log::LogLine;
use crate::shell::clock::Clock;
use crate::shell::log::Log;
use crate::time::{Now, Timestamp};

use super::socket::Socket;
use super::streams::Streams;

/// What one read takes at most, in bytes. All connections of a shard share the one buffer; a client whose answers are
/// refused holds at most this much of its input, and no more than half of its outbox limit (or 1 KiB).
const READ_BUFFER: usize = 16 << 10;

/// How long something due waits at most while other tasks of the thread are served: the next task does a slice of it
/// first. In a storm of handshakes thousands of tasks may stand in line before the shard's timer loop.
const PATIENCE: Duration = Duration::from_millis(5);

/// What all handles to a shard share.
pub(super) struct Shared<S> {
    state: RefCell<State<S>>,
    announcer: Arc<Mutex<Announcer>>,
    pub(super) clock: Arc<dyn Clock>,
    /// The next timeout became an earlier one than the timer loop sleeps until.
    pub(super) is_due_earlier: Notify,
    /// The last connection has gone.
    pub(super) is_empty: Notify,
}

pub(super) struct State<S> {
    pub(super) hub: Hub,
    pub(super) streams: Streams<S>,
    pub(super) buffer: Box<[u8]>,
    /// The last cycle that this shard was told of.
    cycle: u64,
    /// When the announcer is to be asked again.
    next_cycle: Timestamp,
    /// What the timer loop sleeps until.
    alarm: Timestamp,
    /// When a connection's task first saw that something is due; `None` if a slice of it was done since.
    overdue_since: Option<Timestamp>,
}

impl<S: Socket> Shared<S> {
    pub(super) fn new(
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
        let (is_due_earlier, is_empty) = (Notify::new(), Notify::new());
        Ok(Self { state: RefCell::new(state), announcer, clock, is_due_earlier, is_empty })
    }

    /// Lets `look` see the state.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State<S>) -> R) -> R {
        look(&self.state.borrow())
    }

    /// Lets `act` use the state, with what must follow an input. Nothing that can be awaited happens in between.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State<S>, Now) -> R) -> R {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        state.streams.set_now(now);
        let result = act(state, now);
        if state.hub.poll_timeout().is_some_and(|next| next < state.alarm) {
            state.alarm = Timestamp::ZERO;
            self.is_due_earlier.notify_one();
        }
        if state.streams.is_empty() {
            self.is_empty.notify_waiters();
        }
        result
    }

    /// Does one slice of what is due, and says when to come again.
    pub(super) fn tick(&self) -> (Timestamp, Now) {
        self.with(|state, now| {
            self.slice(state, now);
            (state.alarm, now)
        })
    }

    /// Lets the hub see every client off, behind the pushes that were announced by now.
    pub(super) fn drain(&self) {
        self.with(|state, now| {
            self.collect_pushes(state, now);
            state.hub.handle_drain(now, &mut state.streams);
        });
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
        let mut announcer = self.announcer.lock().unwrap_or_else(PoisonError::into_inner);
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

impl<S: Socket> State<S> {
    /// Whether something due has waited long enough. That counts from when a task saw it, not from when it fell due:
    /// after a pause of the whole process no task has been served in the meantime.
    fn is_overdue(&mut self, now: Now) -> bool {
        let due = self.hub.poll_timeout().unwrap_or(Timestamp::MAX).min(self.next_cycle);
        due <= now.at && now.at.since(*self.overdue_since.get_or_insert(now.at)) > PATIENCE
    }
}
