//! The state that all connections of a live run share: the server's address, its dialect, the clock and the judge.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use hdrhistogram::Histogram;
use tokio::net::TcpSocket;
use tokio::time::timeout_at;

use super::clock::pulse::{Arrival, Pulse};
use super::judge::{Judge, LiveConnection};
use super::server::address::Address;
use super::server::endpoint::Endpoint;
use super::server::transport::Transport;
use crate::dialect::Dialect;
use crate::live::server::tls::Tls;
use crate::metrics::{Metrics, Timing};
use crate::rng::Rng;

/// The size of the read buffer, in bytes.
const READ: usize = 64 << 10;

/// The longest round trip that is measured, in microseconds; longer ones count as this.
const LONGEST: u64 = 60_000_000;

/// The least allowance for a delay: about a time slice of the scheduler.
const TIME_SLICE: Duration = Duration::from_millis(20);

/// How long a computed [`RunState::grace`] is valid.
const GRACE_VALIDITY: Duration = Duration::from_millis(200);

/// Options of a client's socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketOptions {
    /// The local address; `None` lets the system choose.
    pub(crate) from: Option<SocketAddr>,
    /// The size of the receive buffer, in bytes; `None` keeps the system's default.
    pub(crate) window: Option<u32>,
}

/// The shared state of a live run.
pub(crate) struct RunState {
    pub(crate) judge: RefCell<Judge>,
    pub(crate) pulse: Rc<Pulse>,
    pub(crate) dialect: Dialect,
    pub(crate) address: Address,
    pub(crate) socket: SocketAddr,
    /// TLS settings; only for `wss://`.
    pub(crate) tls: Option<Tls>,
    /// How long a reply may take before it counts as lost.
    pub(crate) patience: Duration,
    scratch: RefCell<Vec<u8>>,
    next_client: Cell<u32>,
    rng: RefCell<Rng>,
    round_trips: RefCell<Histogram<u64>>,
    /// The measurements of the run.
    pub(crate) metrics: RefCell<Metrics>,
    /// When [`RunState::grace`] was last computed, and its value.
    grace: Cell<(Timestamp, Duration)>,
}

impl RunState {
    pub(crate) fn new(
        judge: Judge,
        dialect: Dialect,
        endpoint: Endpoint,
        patience: Duration,
        seed: u64,
    ) -> Self {
        let Endpoint { address, socket, tls } = endpoint;
        let pulse = Rc::new(Pulse::new());
        let started = pulse.wall(Timestamp::ZERO).as_unix_nanos() / 1_000_000;
        let metrics =
            Metrics { started_unix_millis: u64::try_from(started).unwrap_or_default(), ..Metrics::default() };
        let round_trips = Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds and precision");
        Self {
            judge: RefCell::new(judge),
            pulse,
            dialect,
            address,
            socket,
            tls,
            patience,
            scratch: RefCell::new(vec![0; READ]),
            next_client: Cell::new(0),
            rng: RefCell::new(Rng::new(seed)),
            round_trips: RefCell::new(round_trips),
            metrics: RefCell::new(metrics),
            grace: Cell::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.pulse.now()
    }

    /// The number of the next client, and its own stream of random numbers.
    pub(crate) fn register_client(&self) -> (u32, Rng) {
        let number = self.next_client.get();
        self.next_client.set(number + 1);
        (number, self.rng.borrow().split(u64::from(number)))
    }

    /// Opens a connection, with TLS if the URL asks for it. Fails with a timeout after [`RunState::patience`].
    pub(crate) async fn open(&self, options: SocketOptions) -> io::Result<Transport> {
        let deadline = self.pulse.instant(self.now() + self.patience);
        timeout_at(deadline, self.open_without_timeout(options)).await?
    }

    async fn open_without_timeout(&self, options: SocketOptions) -> io::Result<Transport> {
        let socket = if self.socket.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = options.from {
            socket.bind(from)?;
        }
        if let Some(window) = options.window {
            socket.set_recv_buffer_size(window)?;
        }
        let stream = socket.connect(self.socket).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Transport::plain(stream)),
            Some(tls) => Transport::with_tls(stream, tls).await,
        }
    }

    /// Takes the shared read buffer; give it back with `return_buffer`.
    pub(crate) fn borrow_buffer(&self) -> Vec<u8> {
        std::mem::take(&mut self.scratch.borrow_mut())
    }

    pub(crate) fn return_buffer(&self, buffer: Vec<u8>) {
        *self.scratch.borrow_mut() = buffer;
    }

    /// Records the round trip of a reply: requested at `asked`, received at `at`. A reply that a stall delayed is
    /// not recorded, because it says nothing about the network.
    pub(crate) fn record_answer(&self, asked: Timestamp, at: Timestamp) {
        if self.judge.borrow().grid.stalled_until(asked).is_some() {
            return;
        }
        let span = at.since(asked);
        self.round_trips.borrow_mut().saturating_record(span.as_micros() as u64);
        self.metrics.borrow_mut().record_echo(span);
    }

    /// The round trip at this quantile (0 to 1).
    pub(crate) fn round_trip(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.round_trips.borrow().value_at_quantile(quantile))
    }

    /// What the harness cannot observe: the sum of its own wake-up delay and the round trip, at the 99th
    /// percentile.
    pub(crate) fn uncertainty(&self) -> Duration {
        self.pulse.lateness(0.99) + self.round_trip(0.99)
    }

    /// The time after which everything in flight has arrived and the harness has read it. The value is cached for
    /// [`GRACE_VALIDITY`].
    pub(crate) fn grace(&self) -> Duration {
        let (at, grace) = self.grace.get();
        let now = self.now();
        if now.since(at) < GRACE_VALIDITY && grace > Duration::ZERO {
            return grace;
        }
        let grace = TIME_SLICE + self.pulse.lateness(1.0) + self.round_trip(1.0);
        self.grace.set((now, grace));
        grace
    }

    /// How many connections there were.
    pub(crate) fn client_count(&self) -> u32 {
        self.next_client.get()
    }

    /// Completes the measurements at the end of a run.
    pub(crate) fn close_metrics(&self) {
        let judge = self.judge.borrow();
        let mut metrics = self.metrics.borrow_mut();
        metrics.seconds = self.now().since(Timestamp::ZERO).as_secs_f64();
        metrics.counts.violations = judge.violation_count();
        metrics.counts.lost = judge.lost;
        metrics.counts.duplicates = judge.duplicates;
        metrics.counts.undecided = judge.doubt_count();
        if metrics.own_delay.count() == 0 {
            metrics.own_delay = Timing::from(&self.pulse.histogram());
        }
    }

    /// Checks the cycles whose push must have reached this connection by now.
    pub(crate) fn check_due_cycles(&self, connection: &mut LiveConnection) {
        let uncertainty = self.grace();
        self.judge.borrow_mut().check_due_cycles(connection, self.now(), uncertainty);
    }

    /// Handles a push: counts it, measures its latency and judges its text.
    pub(crate) fn on_push(
        &self,
        connection: &mut LiveConnection,
        text: &[u8],
        arrival: Arrival,
        offset: u64,
    ) {
        let mut judge = self.judge.borrow_mut();
        let cycle = judge.on_push(connection, arrival, offset);
        if connection.is_excluded {
            self.metrics.borrow_mut().counts.deliveries += 1;
            return;
        }
        let due = judge.grid.due(cycle).min(arrival.at);
        self.measure_push(judge.grid.period(), due, arrival.at);
        if judge.grid.is_excused(cycle) || judge.is_known_text(connection, cycle, text) {
            return;
        }
        let text = String::from_utf8_lossy(text);
        let stated = self.dialect.read_push(&text);
        let wall = (self.pulse.wall(due), self.pulse.wall(arrival.at));
        judge.on_text(connection, &text, stated, wall, cycle, arrival.at);
    }

    /// Records the latency of a push. Cycles are numbered by the wall clock, so that several load generators number
    /// them alike.
    fn measure_push(&self, period: Duration, due: Timestamp, at: Timestamp) {
        let mut metrics = self.metrics.borrow_mut();
        let since_start = due.since(Timestamp::ZERO);
        let unix = Duration::from_millis(metrics.started_unix_millis) + since_start + period / 3;
        let number = (unix.as_millis() / period.as_millis().max(1)) as u64;
        metrics.record_push(number, since_start, at.since(due));
    }
}
