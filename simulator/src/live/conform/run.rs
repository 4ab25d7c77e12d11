//! The course of a trial, from the first connection to the verdicts.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::error::ConformError;
use super::options::{ConformOptions, SEED};
use super::report::Conformance;
use super::session::Session;
use super::{burdens, leavers, listeners, offenders, shutdown, switchers, talkers};
use crate::live::client::LiveClient;
use crate::live::clock::stamps::Stamps;
use crate::live::interrupt::interrupted;
use crate::live::judge::Judge;
use crate::live::run_state::RunState;
use crate::live::server::child::{Spawned, is_served};
use crate::live::server::endpoint::Endpoint;

/// Periods without a push after which the trial no longer waits for the first one.
const PATIENT_PERIODS: u32 = 3;

/// An answer may take a period, but no less than this.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);

/// Puts a server on trial. `tell` gets a line for each step.
///
/// # Errors
///
/// A server that is not there; Ctrl-C or SIGTERM.
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
    // A lookup that is still going on must not delay the end.
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
    let state = Rc::new(RunState::new(judge, options.dialect.clone(), endpoint, patience, SEED));
    let pulse = tokio::task::spawn_local(Rc::clone(&state.pulse).beat());
    let session = Rc::new(Session::new(state, options));
    let files = shutdown::Files::before(&session, server.as_ref());
    // The first connection shows whether there is a server to try at all.
    let first = LiveClient::connect(&session.state, "scout").await;
    let first =
        first.map_err(|error| ConformError::Unreachable(format!("{}: {error}", session.state.address)))?;
    first.quit();
    // A server that found its port taken has ended by now, and another server has answered.
    if let Some(sentence) = server.as_mut().and_then(Spawned::has_ended) {
        return Err(ConformError::Unreachable(sentence));
    }
    listeners::start(&session);
    learn(&session, &tell).await;
    switchers::start(&session);
    talkers::start(&session);
    leavers::start(&session);
    offenders::start(&session);
    burdens::start(&session);
    for cycle in 1..=session.options.cycles {
        session.wait(cycle, 0.5).await;
        let violations = session.state.judge.borrow().violations().len();
        tell(&format!("cycle {cycle} of {}: {violations} violations so far", session.options.cycles));
    }
    shutdown::run(&session, server, files, &tell).await?;
    session.finish().await;
    pulse.abort();
    Ok(Conformance::conclude(&session))
}

/// Starts the server, and waits until it accepts connections. A server that listens there already would be judged in its
/// place.
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
async fn learn(session: &Session, tell: &impl Fn(&str)) {
    let started = session.state.now();
    let bound = started + session.period() * PATIENT_PERIODS;
    while !session.state.judge.borrow().grid.is_known() && session.state.now() < bound {
        session.state.pulse.sleep(session.period() / 200).await;
    }
    let mut judge = session.state.judge.borrow_mut();
    if judge.grid.is_known() {
        return tell("the first push has come");
    }
    tell("no push has come; the rest is tried all the same");
    judge.grid.assume(started + session.period());
}
