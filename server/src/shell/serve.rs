//! A whole server: shards on their threads, from the first socket to the drain.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::announcer::Announcer;
use crate::config::{Config, ConfigError};
use crate::shell::accept::{Arrival, Gate, accept_all};
use crate::shell::clock::{Clock, SystemClock};
use crate::shell::fanout::Fanout;
use crate::shell::log::Journal;
use crate::shell::options::Options;
use crate::shell::shard::Shard;

/// Connections that the kernel holds until they are accepted, for when all clients come back at once. Linux cuts this to
/// `net.core.somaxconn`, 4,096 unless somebody has raised it; who finds no room tries again a second later.
const BACKLOG: u32 = 16_384;

/// What a drain may take beyond the close timeout before the server ends without those who are left. Together with what
/// the log then has to be written, it is the second that G14 allows.
const DRAIN_GRACE: Duration = Duration::from_millis(700);

/// A server that listens and has not begun to serve.
pub struct Server {
    listener: TcpListener,
    config: Config,
    gate: Gate,
    /// One for each shard.
    fanouts: Vec<Fanout>,
    zone: crate::zone::Zone,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
}

impl Server {
    /// Takes the address, and says so in the journal. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Options with which the promises cannot be kept, an address that cannot be listened on, or an io_uring that was
    /// asked for and is refused.
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

    /// The address that the server listens on, with the port that it really got.
    ///
    /// # Errors
    ///
    /// The system has lost the socket.
    pub fn local_addr(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::System)
    }

    /// Serves until `shutdown` is ready, then sees every client off, which takes at most the close timeout and a second.
    ///
    /// # Errors
    ///
    /// The system refuses a thread, a shard has failed, or the drain did not end in time.
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

    /// Starts the threads. A shard drains once its sender is dropped, and tells the receiver when it is over, and whether
    /// in good order.
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

type Shards = (Vec<UnboundedSender<Arrival>>, UnboundedReceiver<bool>);

/// How much of what the kernel took for a client may wait to be sent, in bytes. Beyond it the rest waits in the outbox, where
/// it is counted; and whoever reads slowly is seen to read, as the kernel asks for more at half of it. Left alone it
/// holds megabytes, and asks when a third of that is gone.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 << 10;

/// How many tasks a shard polls before it asks the system what has come. Each does a buffer's worth of work at most, so
/// that with tokio's 61 a few clients who ask for more than others could keep all the rest waiting.
const POLLS: u32 = 8;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that is started again should not wait for the connections of its former life to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // The sockets that are accepted inherit it.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
    socket.listen(BACKLOG)
}

/// What one thread needs to run its shard.
struct ShardThread {
    config: Config,
    announcer: Arc<Mutex<Announcer>>,
    clock: Arc<dyn Clock>,
    journal: Arc<Journal>,
    seed: u64,
    fanout: Fanout,
    arrivals: UnboundedReceiver<Arrival>,
    over: Farewell,
}

/// Says that a shard's thread is over, a panic included.
struct Farewell {
    tell: UnboundedSender<bool>,
    is_in_order: bool,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody listens once the server has given up on this shard.
        self.tell.send(self.is_in_order).ok();
    }
}

impl ShardThread {
    fn run(self) {
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

/// Why a server could not run, or not to its end.
#[derive(Debug)]
pub enum ServeError {
    /// The options contradict each other.
    Config(ConfigError),
    /// Some clients or a shard did not end in time.
    DrainTimedOut,
    /// The system refuses the io_uring that was asked for.
    Fanout(io::Error),
    /// A second signal came before the drain was over.
    Interrupted,
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The thread of a shard has ended, which is a bug.
    ShardFailed,
    /// The system refuses something else that every server needs.
    System(io::Error),
}

impl std::error::Error for ServeError {}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::DrainTimedOut => f.write_str("the drain did not end in time"),
            Self::Fanout(error) => {
                write!(f, "fanout is uring, but there is no io_uring: {error}; choose auto or portable")
            }
            Self::Interrupted => f.write_str("interrupted before every client was seen off"),
            Self::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: another process does so already")
            }
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::ShardFailed => f.write_str("a shard has failed"),
            Self::System(error) => write!(f, "{error}"),
        }
    }
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
