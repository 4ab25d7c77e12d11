//! What all connections of a live run share: the server's address, its words, the clock and the judge.

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

/// Bytes that are read at a time.
const READ: usize = 64 << 10;

/// The longest round trip that is told apart from longer ones, in microseconds.
const LONGEST: u64 = 60_000_000;

/// Bounds are multiples of what was measured, but no shorter than a scheduler's slice.
const SLICE: Duration = Duration::from_millis(20);

/// How long a reckoning of [`RunState::grace`] is good for.
const RECKONED: Duration = Duration::from_millis(200);

/// What is special about a socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketOptions {
    /// The local address; any, if not given.
    pub(crate) from: Option<SocketAddr>,
    /// The size of the receive buffer, in bytes; the system's, if not given.
    pub(crate) window: Option<u32>,
}

/// Everything but the connections.
pub(crate) struct RunState {
    pub(crate) judge: RefCell<Judge>,
    pub(crate) pulse: Rc<Pulse>,
    pub(crate) dialect: Dialect,
    pub(crate) address: Address,
    pub(crate) socket: SocketAddr,
    /// Only of `wss://`.
    pub(crate) tls: Option<Tls>,
    /// How long an answer may take before it counts as lost.
    pub(crate) patience: Duration,
    scratch: RefCell<Vec<u8>>,
    next_client: Cell<u32>,
    rng: RefCell<Rng>,
    round_trips: RefCell<Histogram<u64>>,
    /// What is measured.
    pub(crate) metrics: RefCell<Metrics>,
    /// When [`RunState::grace`] was last reckoned, and what it was.
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

    /// The next client's number, and a stream of random numbers of its own.
    pub(crate) fn enrol(&self) -> (u32, Rng) {
        let number = self.next_client.get();
        self.next_client.set(number + 1);
        (number, self.rng.borrow().split(u64::from(number)))
    }

    /// Opens a connection, with TLS if the URL asks for it; as patient as with an answer.
    pub(crate) async fn open(&self, plug: SocketOptions) -> io::Result<Transport> {
        let deadline = self.pulse.instant(self.now() + self.patience);
        timeout_at(deadline, self.open_at_leisure(plug)).await?
    }

    async fn open_at_leisure(&self, plug: SocketOptions) -> io::Result<Transport> {
        let socket = if self.socket.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = plug.from {
            socket.bind(from)?;
        }
        if let Some(window) = plug.window {
            socket.set_recv_buffer_size(window)?;
        }
        let stream = socket.connect(self.socket).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Transport::bare(stream)),
            Some(tls) => Transport::secure(stream, tls).await,
        }
    }

    /// Lends the one read buffer.
    pub(crate) fn borrow_buffer(&self) -> Vec<u8> {
        std::mem::take(&mut self.scratch.borrow_mut())
    }

    pub(crate) fn return_buffer(&self, buffer: Vec<u8>) {
        *self.scratch.borrow_mut() = buffer;
    }

    /// An answer came that was asked for then. What a stall has held up says nothing of the way.
    pub(crate) fn record_answer(&self, asked: Timestamp, at: Timestamp) {
        if self.judge.borrow().grid.stalled_until(asked).is_some() {
            return;
        }
        let span = at.since(asked);
        self.round_trips.borrow_mut().saturating_record(span.as_micros() as u64);
        self.metrics.borrow_mut().record_echo(span);
    }

    pub(crate) fn round_trip(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.round_trips.borrow().value_at_quantile(quantile))
    }

    /// What the harness cannot see: how late it is woken, and how long an answer is under way.
    pub(crate) fn blur(&self) -> Duration {
        self.pulse.lateness(0.99) + self.round_trip(0.99)
    }

    /// By when what is under way has arrived, and the harness has read it. Reckoned anew now and then.
    pub(crate) fn grace(&self) -> Duration {
        let (at, grace) = self.grace.get();
        let now = self.now();
        if now.since(at) < RECKONED && grace > Duration::ZERO {
            return grace;
        }
        let grace = SLICE + self.pulse.lateness(1.0) + self.round_trip(1.0);
        self.grace.set((now, grace));
        grace
    }

    /// How many connections there were.
    pub(crate) fn enrolled(&self) -> u32 {
        self.next_client.get()
    }

    /// Completes what is measured.
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

    /// Looks at the cycles that are over for this connection.
    pub(crate) fn settle_accounts(&self, connection: &mut LiveConnection) {
        let blur = self.grace();
        self.judge.borrow_mut().settle_accounts(connection, self.now(), blur);
    }

    /// A push and its text.
    pub(crate) fn on_push(
        &self,
        connection: &mut LiveConnection,
        text: &[u8],
        arrival: Arrival,
        offset: u64,
    ) {
        let mut judge = self.judge.borrow_mut();
        let cycle = judge.on_push(connection, arrival, offset);
        if connection.is_out {
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

    /// Cycles are counted by the wall clock, so that several load generators number them alike.
    fn measure_push(&self, period: Duration, due: Timestamp, at: Timestamp) {
        let mut metrics = self.metrics.borrow_mut();
        let since_start = due.since(Timestamp::ZERO);
        let unix = Duration::from_millis(metrics.started_unix_millis) + since_start + period / 3;
        let number = (unix.as_millis() / period.as_millis().max(1)) as u64;
        metrics.record_push(number, since_start, at.since(due));
    }
}
