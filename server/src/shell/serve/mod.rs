//! A whole server: shards on their threads, from the first socket to the drain.

mod accept;
mod error;
mod shard_thread;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::announcer::Announcer;
use crate::config::Config;
use crate::shell::clock::{Clock, SystemClock};
use crate::shell::fanout::Fanout;
use crate::shell::log::Journal;
use crate::shell::options::Options;
use crate::zone::Zone;

use accept::{Arrival, Gate, accept_all};
use shard_thread::{Farewell, ShardThread};

pub use error::ServeError;

/// The number of connections that the kernel holds until they are accepted, for the case that all clients reconnect at
/// once. Linux limits it to `net.core.somaxconn`, by default 4,096. A client that finds no room tries again a second
/// later.
const BACKLOG: u32 = 16_384;

/// The time that a drain may take beyond the close timeout, before the server ends without the remaining clients.
/// Together with the time to write the rest of the log it is the second that G14 allows.
const DRAIN_GRACE: Duration = Duration::from_millis(700);

/// The most unsent bytes that the kernel accepts for one client. The rest waits in the outbox, where it is counted. A
/// slow reader is also noticed earlier, as the kernel asks for more when half of the bytes are sent. By default the
/// kernel holds megabytes, and asks for more when a third of them is sent.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 << 10;

/// A server that listens. It serves once [`Server::run`] is called.
pub struct Server {
    listener: TcpListener,
    config: Config,
    gate: Gate,
    /// One for each shard.
    fanouts: Vec<Fanout>,
    zone: Zone,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
}

impl Server {
    /// Listens on the address of the options, and logs it. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The options are invalid, the address is not available, or the options demand an io_uring that the system
    /// refuses.
    pub fn bind(options: &Options, journal: Arc<Journal>) -> Result<Self, ServeError> {
        let config = options.config().map_err(ServeError::Config)?;
        let listener =
            listen(options.listen).map_err(|error| ServeError::Listen { address: options.listen, error })?;
        let shards = options.shard_count().get();
        let (fanouts, fanout) = options.fanout.open(shards).map_err(ServeError::Fanout)?;
        let server = Self {
            listener,
            config,
            gate: Gate::new(options.connection_limit()),
            fanouts,
            zone: options.time_zone.clone(),
            journal,
            clock: Arc::new(SystemClock::new()),
        };
        let (address, path) = (server.local_addr()?, &server.config.path);
        server.note("listening", &format!("Listening on ws://{address}{path}"));
        server.note("ready", &format!("{shards} shards, at most {} connections", options.connection_limit()));
        server.note("fanout", &fanout);
        Ok(server)
    }

    /// The address on which the server listens, with the actual port if the options ask for port 0.
    ///
    /// # Errors
    ///
    /// The system cannot report the address of the socket.
    pub fn local_addr(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::System)
    }

    /// Serves until `shutdown` is ready, then drains, which takes at most the close timeout and a second.
    ///
    /// # Errors
    ///
    /// The system refuses to start a thread, a shard fails, or the drain does not end in time.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let announcer = Announcer::new(self.clock.now().at, self.config.period, self.zone.clone());
        let announcer = Arc::new(Mutex::new(announcer));
        let (mut shards, mut over) = self.start_shards(&announcer)?;
        let log = (self.journal.as_ref(), self.clock.as_ref());
        tokio::select! {
            biased;
            () = pin!(shutdown) => {}
            _ = over.recv() => return Err(ServeError::ShardFailed),
            () = accept_all(&self.listener, &self.gate, &shards, log) => {}
        }
        self.note("draining", &format!("Shutting down with {} connections", self.journal.total()));
        announcer.lock().unwrap_or_else(PoisonError::into_inner).stop();
        let patience = self.config.close_timeout + DRAIN_GRACE;
        let (journal, clock) = (Arc::clone(&self.journal), Arc::clone(&self.clock));
        drop(self);
        shards.clear();
        // Every shard holds a sender until its thread ends.
        let all_over = async {
            while let Some(is_in_order) = over.recv().await {
                if !is_in_order {
                    return Err(ServeError::ShardFailed);
                }
            }
            Ok(())
        };
        tokio::time::timeout(patience, all_over).await.map_err(|_| ServeError::DrainTimedOut)??;
        journal.note("drained", "All connections are closed", clock.now());
        Ok(())
    }

    /// Starts the threads. A shard drains once its sender is dropped. At its end it sends to the receiver whether it
    /// ended in good order.
    fn start_shards(&mut self, announcer: &Arc<Mutex<Announcer>>) -> Result<Shards, ServeError> {
        let (tell, over) = unbounded_channel();
        let mut senders = Vec::new();
        for (index, fanout) in self.fanouts.drain(..).enumerate() {
            let (sender, arrivals) = unbounded_channel();
            let shard = ShardThread {
                config: self.config.clone(),
                announcer: Arc::clone(announcer),
                clock: Arc::clone(&self.clock),
                journal: Arc::clone(&self.journal),
                seed: index as u64,
                fanout,
                arrivals,
                over: Farewell { tell: tell.clone(), is_in_order: false },
            };
            thread::Builder::new()
                .name(format!("shard {index}"))
                .spawn(move || shard.run())
                .map_err(ServeError::System)?;
            senders.push(sender);
        }
        Ok((senders, over))
    }

    fn note(&self, event: &str, sentence: &str) {
        self.journal.note(event, sentence, self.clock.now());
    }
}

/// The senders to the shards, and the receiver that reports the end of a shard.
type Shards = (Vec<UnboundedSender<Arrival>>, UnboundedReceiver<bool>);

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server should not wait until the kernel has forgotten the old server's connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // The accepted sockets inherit this setting.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
    socket.listen(BACKLOG)
}
