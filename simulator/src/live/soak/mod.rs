//! A load of virtual clients over real sockets, judged all the time.
//!
//! | module | subject |
//! |---|---|
//! | `plan` | how many clients there are to be, and when |
//! | `visitor` | one client: connects, does what its behaviour says, and comes back |
//! | `watch` | outages, samples, progress |

mod plan;
mod visitor;
mod watch;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use carillon_server::{Timestamp, WallTime, Zone};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::caller::NoConnection;
use super::clock::canary;
use super::clock::stamps::Stamps;
use super::judge::Judge;
use super::judge::verdicts::{self, Trial};
use super::run_state::{Plug, Stage};
use super::server::address::Address;
use super::server::endpoint::Endpoint;
use crate::dialect::Dialect;
use crate::live::server::tls::{self, Trust};
use crate::metrics::Threshold;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::model::Grid;
use crate::report::{Shard, Summary};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::units::{format_count, format_span};

pub use plan::Plan;
pub use watch::Progress;

/// Handshakes at a time. More would only queue up in front of the server's accept.
const HANDSHAKES: usize = 128;

/// How long a first TLS handshake is waited for before the load begins all the same.
const GLIMPSE: Duration = Duration::from_secs(2);

/// How often the number of clients is adjusted.
const ADJUST: Duration = Duration::from_millis(50);

/// An echo may take so many periods, but no less than [`SHORTEST_PATIENCE`].
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long the leave-taking may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct SoakOptions {
    /// The server.
    pub address: Address,
    /// Whose certificates are trusted, if the address asks for TLS.
    pub trust: Trust,
    /// How it words things.
    pub dialect: Dialect,
    /// What the clients do; its times are real ones.
    pub scenario: Scenario,
    /// How many there are, and when.
    pub plan: Plan,
    /// Decides what they do.
    pub seed: u64,
    /// Which part of them is meant, from 1, and how many parts there are.
    pub shard: (u32, u32),
    /// Bounds for what is measured.
    pub thresholds: Vec<Threshold>,
    /// The server's process, if it runs on this machine.
    pub server: Option<u32>,
    /// Whether it was started for this load alone.
    pub is_served: bool,
}

/// Why there is no outcome.
#[derive(Debug)]
pub struct SoakError(String);

impl fmt::Display for SoakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SoakError {}

/// The load, and everything that its clients share.
pub(super) struct Soak {
    stage: Rc<Stage>,
    options: SoakOptions,
    /// The grid as the behaviours know it.
    grid: RefCell<Grid>,
    admission: Semaphore,
    connected: Cell<u64>,
    subscribed: Cell<u64>,
    /// When a connection was last refused, or could not be made.
    refused_at: Cell<Option<Timestamp>>,
    outage: RefCell<Option<watch::Outage>>,
    is_over: Cell<bool>,
    over: Notify,
}

/// Puts the load on the server until the plan is done, or `interrupted` is.
///
/// # Errors
///
/// A name that nobody knows, a server that there is no TLS with, and a system that has no room.
pub fn soak(
    options: SoakOptions,
    interrupted: impl Future<Output = ()>,
    show: impl FnMut(&Progress) + 'static,
) -> Result<Summary, SoakError> {
    let failed = |error: std::io::Error| SoakError(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    LocalSet::new().block_on(&runtime, async {
        let endpoint = Endpoint::find(&options.address, &options.trust).await.map_err(SoakError)?;
        let soak = Rc::new(Soak::new(options, endpoint));
        let mut interrupted = std::pin::pin!(interrupted);
        tokio::select! {
            biased;
            () = &mut interrupted => return Ok(soak.conclude(true)),
            tried = soak.try_tls() => tried?,
        }
        let canary = canary::start(&soak.stage).map_err(failed)?;
        let tasks = [
            tokio::task::spawn_local(Rc::clone(&soak.stage.pulse).beat()),
            tokio::task::spawn_local(watch::watch(Rc::clone(&soak), show)),
        ];
        let was_interrupted = tokio::select! {
            biased;
            () = interrupted => true,
            () = perform(&soak) => false,
        };
        for task in tasks {
            task.abort();
        }
        drop(canary);
        Ok(soak.conclude(was_interrupted))
    })
}

async fn perform(soak: &Rc<Soak>) {
    let mut clients = JoinSet::new();
    let mut next = 0;
    let plan = soak.options.plan.clone();
    let (part, parts) = soak.options.shard;
    loop {
        let after = soak.stage.now().since(Timestamp::ZERO);
        if after >= plan.duration() {
            break;
        }
        while next < plan.clients_at(after) {
            if next % parts == part - 1 {
                clients.spawn_local(visitor::live(Rc::clone(soak), next));
            }
            next += 1;
        }
        // Clients leave from the top where the plan has fewer, and are new ones when it has more again.
        next = next.min(plan.clients_at(after));
        while let Some(ended) = clients.try_join_next() {
            resume_panic(&ended);
        }
        soak.stage.pulse.sleep(ADJUST).await;
    }
    soak.is_over.set(true);
    soak.over.notify_waiters();
    let leaving = async {
        while let Some(ended) = clients.join_next().await {
            resume_panic(&ended);
        }
    };
    // Who has not been let go by then is reported as what it is: connected still.
    let _is_left = tokio::time::timeout(FAREWELL, leaving).await;
}

fn resume_panic<T>(ended: &Result<T, tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        panic!("a client's task has panicked: {error}");
    }
}

impl Soak {
    fn new(options: SoakOptions, endpoint: Endpoint) -> Self {
        let period = options.scenario.server.period;
        let stamps = Stamps::new(endpoint.socket.ip().is_loopback(), 1);
        let mut judge = Judge::new(period, stamps, false);
        judge.drops = Some(Vec::new());
        let patience = period.max(SHORTEST_PATIENCE);
        let dialect = options.dialect.clone();
        Self {
            stage: Rc::new(Stage::new(judge, dialect, endpoint, patience, options.seed)),
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

    /// Finds out whether there is any use in trying. A server that is not there may yet come; one whose certificate is
    /// not trusted remains so.
    async fn try_tls(&self) -> Result<(), SoakError> {
        if self.stage.tls.is_some()
            && let Ok(Err(error)) = timeout(GLIMPSE, self.stage.open(self.plug(None))).await
            && tls::is_final(&error)
        {
            let cause = NoConnection::new(&self.stage, error);
            return Err(SoakError(format!("{}: {cause}", self.stage.address)));
        }
        Ok(())
    }

    /// Whether the plan has this client now.
    fn wants(&self, index: u32) -> bool {
        let after = self.stage.now().since(Timestamp::ZERO);
        !self.is_over.get() && index < self.options.plan.clients_at(after)
    }

    fn rng(&self, index: u32) -> Rng {
        Rng::new(self.options.seed).fork("live clients").split(u64::from(index))
    }

    /// Where a client connects from: each part of a load on one machine has an address, and so ports, of its own.
    fn plug(&self, window: Option<u32>) -> Plug {
        let (part, parts) = self.options.shard;
        let is_loopback = self.stage.socket.ip().is_loopback() && self.stage.socket.is_ipv4();
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, (part >> 8) as u8, part as u8));
        let from = (is_loopback && (2..=60_000).contains(&parts)).then(|| SocketAddr::new(address, 0));
        Plug { from, window }
    }

    fn conclude(&self, interrupted: bool) -> Summary {
        let options = &self.options;
        {
            let mut judge = self.stage.judge.borrow_mut();
            let (blur, now) = (self.stage.blur(), self.stage.now());
            watch::conclude_drops(&mut judge, self.outage.take(), now);
            judge.conclude(u64::MAX);
            judge.conclude_grid(blur, now);
            judge.conclude_late(self.stage.pulse.lateness(0.999), now);
            judge.conclude_texts();
        }
        self.stage.close_metrics();
        let entries = verdicts::entries(&self.stage.judge.borrow(), &Guarantee::ALL);
        let (part, parts) = options.shard;
        let thresholds = {
            let metrics = self.stage.metrics.borrow();
            options.thresholds.iter().map(|threshold| threshold.evaluate(&metrics)).collect()
        };
        let clients = (0..options.plan.most()).filter(|index| index % parts == part - 1).count();
        let trial = Trial {
            command: "soak",
            scenario: options.scenario.name.clone(),
            seed: options.seed,
            clients: clients as u32,
            plan: Some(options.plan.to_string()),
            shard: (parts > 1).then(|| Shard { numbers: vec![part], of: parts }),
            thresholds,
            interrupted,
            repeat: options.repeat_line(),
        };
        verdicts::summary(&self.stage, &entries, trial)
    }
}

impl SoakOptions {
    /// The command that puts the same load on again.
    pub fn repeat_line(&self) -> String {
        let (address, scenario) = (&self.address, &self.scenario);
        let period = format_span(scenario.server.period);
        let file = scenario.file.as_ref().map(|file| file.display().to_string());
        let name = file.unwrap_or_else(|| scenario.name.clone());
        let server = if self.is_served { "--serve".to_owned() } else { address.to_string() };
        let mut line = format!(
            "carillon-sim soak {server}{} --scenario {name} --plan '{}' --period {period} --seed {}",
            self.trust.as_options(),
            self.plan,
            self.seed
        );
        if self.shard.1 > 1 {
            line.push_str(&format!(" --shard {}/{}", self.shard.0, self.shard.1));
        }
        line
    }

    /// How many clients there are at most, in words.
    pub fn size(&self) -> String {
        format!("{} clients for {}", format_count(self.plan.most()), format_span(self.plan.duration()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::caller::Caller;

    /// What a client takes, beside what the runtime and the system keep for its socket: less than 3 KiB with those.
    #[test]
    fn a_client_is_small() {
        let address = Address::parse("ws://127.0.0.1:1/").unwrap();
        let plan = Plan::steady(1, Duration::from_secs(10));
        let scenario = Scenario::fanout(1, Duration::from_secs(10), Duration::from_secs(1));
        let endpoint = Endpoint { address: address.clone(), socket: ([127, 0, 0, 1], 1).into(), tls: None };
        let options = SoakOptions {
            address,
            trust: Trust::default(),
            dialect: Dialect::default(),
            scenario,
            plan,
            seed: 1,
            shard: (1, 1),
            thresholds: Vec::new(),
            server: None,
            is_served: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let soak = Rc::new(Soak::new(options, endpoint));
            let task = visitor::live(soak, 0);
            let (caller, task) = (size_of::<Caller>(), size_of_val(&task));
            assert!(caller <= 800 && task <= 1024, "a caller of {caller} bytes in a task of {task}");
        });
    }
}
