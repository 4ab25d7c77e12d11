//! What all clients of a soak share.

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

/// Handshakes at a time. More would only queue up in front of the server's accept.
const HANDSHAKES: usize = 128;

/// How long a first TLS handshake is waited for before the load begins all the same.
const GLIMPSE: Duration = Duration::from_secs(2);

/// An echo may take so many periods, but no less than [`SHORTEST_PATIENCE`].
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);

/// The load, and everything that its clients share.
pub(super) struct Soak {
    pub(super) state: Rc<RunState>,
    pub(super) options: SoakOptions,
    /// The grid as the behaviours know it.
    pub(super) grid: RefCell<Grid>,
    pub(super) admission: Semaphore,
    pub(super) connected: Cell<u64>,
    pub(super) subscribed: Cell<u64>,
    /// When a connection was last refused, or could not be made.
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

    /// Finds out whether a connection can succeed at all. A server that is not there may yet come; a certificate that is
    /// not trusted stays untrusted.
    pub(super) async fn try_tls(&self) -> Result<(), SoakError> {
        if self.state.tls.is_some()
            && let Ok(Err(error)) = timeout(GLIMPSE, self.state.open(self.socket_options(None))).await
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

    /// Where a client connects from: each part of a load on one machine has an address, and so ports, of its own.
    pub(super) fn socket_options(&self, window: Option<u32>) -> SocketOptions {
        let (part, parts) = self.options.shard;
        let is_loopback = self.state.socket.ip().is_loopback() && self.state.socket.is_ipv4();
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, (part >> 8) as u8, part as u8));
        let from = (is_loopback && (2..=60_000).contains(&parts)).then(|| SocketAddr::new(address, 0));
        SocketOptions { from, window }
    }

    /// Waits, though not beyond the end of the soak.
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
