//! One shard: a hub, its streams, and the loop that calls the hub at its timeouts.
//!
//! | file | subject |
//! |---|---|
//! | `socket` | the trait of a stream to which a fan-out can write without a task switch |
//! | `streams` | the slab of streams, which is the hub's wire |
//! | `state` | the state of a shard, and one turn of its work |
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
    /// The memory of a shard per idle connection, by part, in bytes. The hub's [`FOOTPRINT`](crate::Hub::FOOTPRINT) and
    /// tokio's memory for a task and a socket come on top.
    pub const FOOTPRINT: [(&str, usize); 2] =
        [("slot with the stream", size_of::<Slot<S>>()), ("future of the task", size_of::<Connection<S>>())];

    /// A shard without connections, which delivers the pushes of `announcer`. `seed` decides the jitter of its pings.
    ///
    /// # Errors
    ///
    /// The configuration does not pass [`Config::validate`].
    pub fn new(
        config: Config,
        announcer: Arc<Mutex<Announcer>>,
        clock: Arc<dyn Clock>,
        log: Arc<dyn Log>,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        Shared::new(config, announcer, clock, log, seed).map(|shared| Self(Rc::new(shared)))
    }

    /// Sets the way in which pushes are written from now on. The default is [`Fanout::portable`].
    pub fn set_fanout(&self, fanout: Fanout) {
        self.0.with(|state, _| state.streams.set_fanout(fanout));
    }

    /// Adds a new connection and returns its task, which ends with it. Dropping the task earlier cuts the client off.
    ///
    /// If the connection is not admitted, its request is answered with 503: the server is full.
    pub fn serve(&self, stream: S, is_admitted: bool) -> Connection<S> {
        let ticket = self.0.with(|state, now| {
            let id = state.hub.handle_connect(now, is_admitted);
            state.streams.insert(id, stream)
        });
        Connection::new(Rc::clone(&self.0), ticket)
    }

    /// The timer loop of the shard: calls the hub whenever work is due. The future never ends.
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

    /// Sends every client its Close behind the queued output. Stop the announcer first. The shard still delivers a push
    /// that was announced before, as other shards may have delivered it already. [`Shard::emptied`] waits for the end.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// Waits until the shard has no connection.
    pub fn emptied(&self) -> impl Future<Output = ()> + use<S> {
        let shard = self.clone();
        async move {
            loop {
                // Created before the check, so that no notification is lost between the two.
                let notified = shard.0.is_empty.notified();
                if shard.0.look(|state| state.streams.is_empty()) {
                    return;
                }
                notified.await;
            }
        }
    }

    /// The connections and the memory of the hub at the moment.
    pub fn census(&self) -> Census {
        self.0.look(|state| state.hub.census())
    }

    /// The events of the hub since the start.
    pub fn counters(&self) -> Counters {
        self.0.look(|state| state.hub.counters())
    }
}
