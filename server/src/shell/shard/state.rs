//! The state of a shard, and one turn of its work: input for the hub, a slice of the due work, new pushes.

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

/// The size of the read buffer, in bytes, which all connections of a shard share. For a client that does not read its
/// replies, the shard keeps at most this much refused input, and at most half of the outbox limit (or 1 KiB).
const READ_BUFFER: usize = 16 << 10;

/// The longest time that due work waits while other tasks of the thread are served. After it the next task does a slice
/// first. In a storm of handshakes thousands of tasks may be queued before the shard's timer loop.
const PATIENCE: Duration = Duration::from_millis(5);

/// The data that all handles to a shard share.
pub(super) struct Shared<S> {
    state: RefCell<State<S>>,
    announcer: Arc<Mutex<Announcer>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Notified when the next timeout is earlier than the instant until which the timer loop sleeps.
    pub(super) is_due_earlier: Notify,
    /// Notified when the last connection has gone.
    pub(super) is_empty: Notify,
}

pub(super) struct State<S> {
    pub(super) hub: Hub,
    pub(super) streams: Streams<S>,
    pub(super) buffer: Box<[u8]>,
    /// The last cycle that the announcer has reported to this shard.
    cycle: u64,
    /// The instant at which to ask the announcer again.
    next_cycle: Timestamp,
    /// The instant until which the timer loop sleeps.
    alarm: Timestamp,
    /// The instant at which a connection's task first saw due work; `None` if a slice was done since.
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

    /// Calls `look` with the state.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State<S>) -> R) -> R {
        look(&self.state.borrow())
    }

    /// Calls `act` with the state, then does the work that must follow an input. Nothing is awaited in between.
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

    /// Does one slice of the due work, and returns the instant of the next call and the present time.
    pub(super) fn tick(&self) -> (Timestamp, Now) {
        self.with(|state, now| {
            self.slice(state, now);
            (state.alarm, now)
        })
    }

    /// Starts the hub's drain, after the pushes that were announced so far.
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

    /// Gives new pushes to the hub. The announcer is locked only while it is asked.
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
    /// Whether due work has waited too long. The time counts from when a task first saw the work, not from its due
    /// instant: after a pause of the whole process the other tasks have not been served either.
    fn is_overdue(&mut self, now: Now) -> bool {
        let due = self.hub.poll_timeout().unwrap_or(Timestamp::MAX).min(self.next_cycle);
        due <= now.at && now.at.since(*self.overdue_since.get_or_insert(now.at)) > PATIENCE
    }
}
