//! The state that all clients of a soak share.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use carillon_server::{Timestamp, WallTime, Zone};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::options::{SoakError, SoakOptions};
use super::outage::Outage;
use crate::live::client::NoConnection;
use crate::live::clock::stamps::Stamps;
use crate::live::judge::Judge;
use crate::live::run_state::{RunState, SocketOptions};
use crate::live::server::endpoint::Endpoint;
use crate::live::server::tls;
use crate::oracle::model::Grid;
use crate::rng::Rng;

/// The most handshakes at a time. More would only wait in the server's accept queue.
const HANDSHAKES: usize = 128;

/// How long to wait for a first TLS handshake before the load starts anyway.
const FIRST_HANDSHAKE: Duration = Duration::from_secs(2);

/// An echo may take one period, but at least this time.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);

/// The load, and everything that its clients share.
pub(super) struct Soak {
    pub(super) state: Rc<RunState>,
    pub(super) options: SoakOptions,
    /// The push grid that the behaviours use.
    pub(super) grid: RefCell<Grid>,
    pub(super) admission: Semaphore,
    pub(super) connected: Cell<u64>,
    pub(super) subscribed: Cell<u64>,
    /// When a connection was last refused or failed.
    pub(super) refused_at: Cell<Option<Timestamp>>,
    pub(super) outage: RefCell<Option<Outage>>,
    pub(super) is_over: Cell<bool>,
    pub(super) over: Notify,
}

impl Soak {
    pub(super) fn new(options: SoakOptions, endpoint: Endpoint) -> Self {
        let period = options.scenario.server.period;
        let stamps = Stamps::new(endpoint.socket.ip().is_loopback(), 1);
        let mut judge = Judge::new(period, stamps, false);
        judge.drops = Some(Vec::new());
        let patience = period.max(SHORTEST_PATIENCE);
        let dialect = options.dialect.clone();
        Self {
            state: Rc::new(RunState::new(judge, dialect, endpoint, patience, options.seed)),
            grid: RefCell::new(Grid::new(period, WallTime::default(), Zone::UTC)),
            options,
            admission: Semaphore::new(HANDSHAKES),
            connected: Cell::new(0),
            subscribed: Cell::new(0),
            refused_at: Cell::new(None),
            outage: RefCell::default(),
            is_over: Cell::new(false),
            over: Notify::new(),
        }
    }

    /// Checks whether TLS can succeed at all. A server that does not answer may start later; an untrusted
    /// certificate stays untrusted.
    pub(super) async fn try_tls(&self) -> Result<(), SoakError> {
        if self.state.tls.is_some()
            && let Ok(Err(error)) = timeout(FIRST_HANDSHAKE, self.state.open(self.socket_options(None))).await
            && tls::is_final(&error)
        {
            let cause = NoConnection::new(&self.state, error);
            return Err(SoakError(format!("{}: {cause}", self.state.address)));
        }
        Ok(())
    }

    /// Whether the plan has this client now.
    pub(super) fn wants(&self, index: u32) -> bool {
        let after = self.state.now().since(Timestamp::ZERO);
        !self.is_over.get() && index < self.options.plan.clients_at(after)
    }

    pub(super) fn rng(&self, index: u32) -> Rng {
        Rng::new(self.options.seed).fork("live clients").split(u64::from(index))
    }

    /// The socket options of a client. Each part of a load on one machine has its own local address, and so its own
    /// ports.
    pub(super) fn socket_options(&self, window: Option<u32>) -> SocketOptions {
        let (part, parts) = self.options.shard;
        let is_loopback = self.state.socket.ip().is_loopback() && self.state.socket.is_ipv4();
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, (part >> 8) as u8, part as u8));
        let from = (is_loopback && (2..=60_000).contains(&parts)).then(|| SocketAddr::new(address, 0));
        SocketOptions { from, window }
    }

    /// Waits for this time, or until the end of the soak.
    pub(super) async fn pause(&self, span: Duration) {
        if self.is_over.get() {
            return;
        }
        tokio::select! {
            biased;
            () = self.over.notified() => {}
            () = self.state.pulse.sleep(span) => {}
        }
    }
}
