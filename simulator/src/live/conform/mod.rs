//! A verdict on every guarantee of a server that is known by its URL alone.
//!
//! A cast of clients goes through some ten cycles at once: listeners, switchers, talkers, leavers, offenders, and those
//! whom nobody may have to wait for. What they see goes to the judge. A server that was started here is also stopped
//! for a while, and at last told to shut down.
//!
//! | module | who, and what for |
//! |---|---|
//! | `listeners` | never touch the switch |
//! | `switchers` | use it, early, late, twice, and without a word behind it |
//! | `talkers` | say whatever can be said |
//! | `leavers` | go and come back |
//! | `offenders`, `breaches` | break rules, and which ones |
//! | `burdens` | do not read, stop halfway, are dead |
//! | `finale` | the stall, what is left behind, the shutdown and the log |
//! | `show` | timetable and tasks |
//! | `report` | verdicts |

mod breaches;
mod burdens;
mod finale;
mod leavers;
mod listeners;
mod offenders;
mod report;
mod show;
mod switchers;
mod talkers;

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use self::show::Show;
use super::caller::Caller;
use super::clock::stamps::Stamps;
use super::interrupt::interrupted;
use super::judge::Judge;
use super::run_state::Stage;
use super::server::address::Address;
use super::server::child::{Spawned, is_served};
use super::server::endpoint::Endpoint;
use crate::dialect::Dialect;
use crate::live::server::tls::Trust;
use crate::oracle::guarantee::Guarantee;
use crate::units::format_span;

pub use report::{ConformReport, Conformance, Uncertainty, junit};

/// Decides masks and handshake keys; nothing else in a trial is drawn.
const SEED: u64 = 1;

/// The largest message that is sent where nobody has stated one: the reference server's limit.
const USUAL_LARGEST: usize = 64 << 10;

/// Periods without a push after which nobody waits for the first one any more.
const PATIENT_PERIODS: u32 = 3;

/// An answer may take a period, but no less than this.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);

/// What is on trial, and how.
#[derive(Clone, Debug)]
pub struct ConformOptions {
    /// The server.
    pub address: Address,
    /// Whose certificates are trusted, if the address asks for TLS.
    pub trust: Trust,
    /// Time between two pushes.
    pub period: Duration,
    /// What to judge; all of them, or some.
    pub guarantees: Vec<Guarantee>,
    /// Cycles to watch before the stall, at least 4.
    pub cycles: u64,
    /// Whether the server is held to the reference server's own choices as well.
    pub is_strict: bool,
    /// How the server words things.
    pub dialect: Dialect,
    /// A shell command that starts the server.
    pub spawn: Option<String>,
    /// The server's process, if it runs on this machine.
    pub pid: Option<u32>,
    /// The largest message that the server takes, if its owner states it.
    pub max_message: Option<usize>,
    /// Its ping interval, if its owner states it.
    pub ping_interval: Option<Duration>,
    /// How long the end of a connection may take.
    pub close_timeout: Duration,
    /// How many times faster than this machine's the server's clock runs.
    pub speed: u32,
}

impl ConformOptions {
    /// The largest message to send.
    fn longest(&self) -> usize {
        self.max_message.unwrap_or(USUAL_LARGEST)
    }

    /// The command that tries the same server again, but for what its dialect says.
    fn repeat_line(&self) -> String {
        let (address, period) = (&self.address, format_span(self.period));
        let mut line = format!("carillon-sim conform {address}{} --period {period}", self.trust.as_options());
        if self.is_strict {
            line.push_str(" --strict");
        }
        if let Some(command) = &self.spawn {
            line.push_str(&format!(" --spawn '{}'", command.replace('\'', r"'\''")));
        }
        line
    }
}

/// Why there is no verdict.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConformError {
    /// Somebody has had enough.
    Interrupted,
    /// Somebody else serves where the server that is to be started would; stop it, or choose another port.
    Occupied(String),
    /// The server cannot be reached, or is no WebSocket server under this URL; start it, or correct the URL.
    Unreachable(String),
    /// The system refuses what it takes to run at all.
    System(String),
}

impl fmt::Display for ConformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Occupied(cause) | Self::Unreachable(cause) | Self::System(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for ConformError {}

/// Puts a server through it. `tell` is told what goes on, a line each.
///
/// # Errors
///
/// A server that is not there, and whoever has had enough: Ctrl-C or SIGTERM.
pub fn conform(options: ConformOptions, tell: impl Fn(&str)) -> Result<Conformance, ConformError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConformError::System(format!("cannot start: {error}")))?;
    let result = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            biased;
            () = interrupted() => Err(ConformError::Interrupted),
            result = perform(options, tell) => result,
        }
    });
    // A name that nobody resolves, say, holds up nobody who has had enough.
    runtime.shutdown_background();
    result
}

async fn perform(options: ConformOptions, tell: impl Fn(&str)) -> Result<Conformance, ConformError> {
    let endpoint = Endpoint::find(&options.address, &options.trust).await;
    let endpoint = endpoint.map_err(ConformError::Unreachable)?;
    let socket = endpoint.socket;
    let mut server = match &options.spawn {
        Some(command) => Some(start_server(command, socket).await?),
        None => None,
    };
    if server.is_some() {
        tell("the server accepts connections");
    }
    let stamps = Stamps::new(socket.ip().is_loopback(), options.speed);
    let judge = Judge::new(options.period, stamps, options.is_strict);
    let patience = options.period.max(SHORTEST_PATIENCE);
    let stage = Rc::new(Stage::new(judge, options.dialect.clone(), endpoint, patience, SEED));
    let pulse = tokio::task::spawn_local(Rc::clone(&stage.pulse).beat());
    let show = Rc::new(Show::new(stage, options));
    let files = finale::Files::before(&show, server.as_ref());
    // The first one is to find out whether it is worth while.
    let scout = Caller::connect(&show.stage, "scout").await;
    let scout =
        scout.map_err(|error| ConformError::Unreachable(format!("{}: {error}", show.stage.address)))?;
    scout.quit();
    // It may have found the port taken after all, and then somebody else has answered.
    if let Some(sentence) = server.as_mut().and_then(Spawned::has_ended) {
        return Err(ConformError::Unreachable(sentence));
    }
    listeners::start(&show);
    learn(&show, &tell).await;
    switchers::start(&show);
    talkers::start(&show);
    leavers::start(&show);
    offenders::start(&show);
    burdens::start(&show);
    for cycle in 1..=show.options.cycles {
        show.wait(cycle, 0.5).await;
        let violations = show.stage.judge.borrow().violations().len();
        tell(&format!("cycle {cycle} of {}: {violations} violations so far", show.options.cycles));
    }
    finale::play(&show, server, files, &tell).await?;
    show.finish().await;
    pulse.abort();
    Ok(Conformance::conclude(&show))
}

/// Starts the server, and waits until it accepts connections. Whoever listens there already would be judged in its place.
async fn start_server(command: &str, socket: SocketAddr) -> Result<Spawned, ConformError> {
    if is_served(socket).await {
        let sentence = format!(
            "somebody listens on {socket} already: stop that server, or have the one of --spawn listen elsewhere"
        );
        return Err(ConformError::Occupied(sentence));
    }
    let mut server = Spawned::start(command)
        .map_err(|error| ConformError::System(format!("cannot start {command:?}: {error}")))?;
    server.accepts(socket).await.map_err(ConformError::Unreachable)?;
    Ok(server)
}

/// Waits for the first push of all, which the timetable hangs on.
async fn learn(show: &Show, tell: &impl Fn(&str)) {
    let started = show.stage.now();
    let bound = started + show.period() * PATIENT_PERIODS;
    while !show.stage.judge.borrow().rhythm.is_known() && show.stage.now() < bound {
        show.stage.pulse.sleep(show.period() / 200).await;
    }
    let mut judge = show.stage.judge.borrow_mut();
    if judge.rhythm.is_known() {
        return tell("the first push has come");
    }
    tell("no push has come; the rest is tried all the same");
    judge.rhythm.assume(started + show.period());
}
