//! One shard: a hub, its streams, and the loop that wakes the hub in time.
//!
//! | file | subject |
//! |---|---|
//! | `socket` | what a stream must offer so that a fan-out can write to it without a task switch |
//! | `streams` | the slab of streams, which is the hub's wire |
//! | `state` | what a shard holds, and one turn of it |
//! | `connection` | the task of one connection |

pub(super) mod connection;
pub(super) mod socket;
mod state;
pub(super) mod streams;

use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::announcer::Announcer;
use crate::config::{Config, ConfigError};
use crate::hub::{Census, Counters};
use crate::shell::clock::Clock;
use crate::shell::fanout::Fanout;
use crate::shell::log::Log;

use connection::Connection;
use socket::Socket;
use state::Shared;
use streams::Slot;

/// One single-threaded part of a server: a hub and its streams. A clone is another handle to the same shard.
///
/// One task must run [`Shard::run`], and one task per connection the future that [`Shard::serve`] returns, all on one
/// thread. An idle connection costs its task and one slot: no buffer, no timer, no channel.
pub struct Shard<S: Socket>(Rc<Shared<S>>);

impl<S: Socket> Clone for Shard<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: Socket> Shard<S> {
    /// What an idle connection holds of a shard beside its hub's [`FOOTPRINT`](crate::Hub::FOOTPRINT), by part, in
    /// bytes; what tokio needs for a task and a socket comes on top.
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
        Shared::new(config, announcer, clock, log, seed).map(|shared| Self(Rc::new(shared)))
    }

    /// How fan-outs are written from now on; until this is called, [`Fanout::portable`].
    pub fn set_fanout(&self, fanout: Fanout) {
        self.0.with(|state, _| state.streams.set_fanout(fanout));
    }

    /// Takes a new connection and returns its task, which ends with it. Dropping the task earlier cuts the client off.
    ///
    /// One that is not admitted is told that the server is full once it has asked.
    pub fn serve(&self, stream: S, is_admitted: bool) -> Connection<S> {
        let ticket = self.0.with(|state, now| {
            let id = state.hub.handle_connect(now, is_admitted);
            state.streams.insert(id, stream)
        });
        Connection::new(Rc::clone(&self.0), ticket)
    }

    /// Wakes the hub whenever something is due, and never ends.
    ///
    /// Between two slices of a fan-out all tasks of the thread get their turn.
    pub fn run(&self) -> impl Future<Output = ()> + use<S> {
        let shard = self.clone();
        async move {
            loop {
                let (alarm, now) = shard.0.tick();
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
        self.0.drain();
    }

    /// Waits until no connection is left.
    pub fn emptied(&self) -> impl Future<Output = ()> + use<S> {
        let shard = self.clone();
        async move {
            loop {
                // Created before the look, so that no notification falls in between.
                let notified = shard.0.is_empty.notified();
                if shard.0.look(|state| state.streams.is_empty()) {
                    return;
                }
                notified.await;
            }
        }
    }

    /// What the hub holds at the moment.
    pub fn census(&self) -> Census {
        self.0.look(|state| state.hub.census())
    }

    /// What happened in the hub so far.
    pub fn counters(&self) -> Counters {
        self.0.look(|state| state.hub.counters())
    }
}
