//! The course of a trial, from the first connection to the verdicts.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::shell::process::limits::raise_open_files;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::crowd::Crowd;
use super::error::ConformError;
use super::leftovers::{self, Files};
use super::options::{ConformOptions, SEED};
use super::report::Conformance;
use super::session::Session;
use super::stall::{self, STALL};
use super::{
    absence, burdens, deflate, idlers, laggards, leavers, listeners, offenders, reconnects, shutdown, sizes,
    starvation, switchers, talkers,
};
use crate::live::client::{LiveClient, NoConnection};
use crate::live::clock::stamps::Stamps;
use crate::live::interrupt::interrupted;
use crate::live::judge::Judge;
use crate::live::run_state::RunState;
use crate::live::server::child::{Spawned, accepts_connections};
use crate::live::server::endpoint::Endpoint;
use crate::oracle::guarantee::Guarantee;

/// The number of periods without a push after which the trial no longer waits for the first one.
const PATIENT_PERIODS: u32 = 3;

/// How often the first connection is tried, if the server answers and refuses.
const FIRST_ATTEMPTS: u32 = 5;

/// A reply may take one period, but at least this time.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);

/// Puts a server on trial. `on_step` is called with a line for each step.
///
/// # Errors
///
/// The server cannot be started or reached, or SIGINT or SIGTERM interrupted the trial.
pub fn conform(options: ConformOptions, on_step: impl Fn(&str)) -> Result<Conformance, ConformError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConformError::System(format!("cannot start: {error}")))?;
    let result = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            biased;
            () = interrupted() => Err(ConformError::Interrupted),
            result = perform(options, on_step) => result,
        }
    });
    // A pending name lookup must not delay the end.
    runtime.shutdown_background();
    result
}

async fn perform(options: ConformOptions, on_step: impl Fn(&str)) -> Result<Conformance, ConformError> {
    let endpoint = Endpoint::find(&options.address, &options.trust).await;
    let endpoint = endpoint.map_err(ConformError::Unreachable)?;
    let socket = endpoint.socket;
    let mut server = match &options.spawn {
        Some(command) => Some(start_server(command, socket).await?),
        None => None,
    };
    if server.is_some() {
        on_step("the server accepts connections");
    }
    let stamps = Stamps::new(socket.ip().is_loopback(), options.speed).in_zone(options.zone.clone());
    let judge = Judge::new(options.period, stamps, options.is_strict);
    let patience = options.period.max(SHORTEST_PATIENCE);
    let state = Rc::new(RunState::new(judge, options.dialect.clone(), endpoint, patience, SEED));
    let pulse = tokio::task::spawn_local(Rc::clone(&state.pulse).tick_forever());
    let session = Rc::new(Session::new(state, options));
    let files = Files::before(&session, server.as_ref());
    connect_first(&session).await?;
    // A server that found its port in use has ended by now, and another server has answered.
    if let Some(sentence) = server.as_mut().and_then(Spawned::exit_sentence) {
        return Err(ConformError::Unreachable(sentence));
    }
    // The limit is raised only here: the server that was started has the limit of the caller.
    let _is_raised = raise_open_files();
    let watching = starvation::watch(&session, leftovers::processes(&session, server.as_ref()));
    let crowd = Crowd::start(&session);
    listeners::start(&session);
    idlers::start(&session);
    await_first_push(&session, &on_step).await;
    start_probes(&session);
    server = watch_cycles(&session, server, &on_step).await?;
    if session.state.judge.borrow().has_crashed() {
        on_step("the server has ended by itself");
        session.end();
        crowd.leave();
    } else {
        end(&session, server, &files, &crowd, &on_step).await?;
    }
    session.finish().await;
    watching.abort();
    pulse.abort();
    Ok(Conformance::conclude(&session))
}

/// Waits for the end of the last cycle, or of the server.
///
/// # Errors
///
/// Another server answers in the place of the one that was started.
async fn watch_cycles(
    session: &Session,
    mut server: Option<Spawned>,
    on_step: &impl Fn(&str),
) -> Result<Option<Spawned>, ConformError> {
    for cycle in 1..=session.options.cycles {
        session.wait(cycle, 0.5).await;
        server = running_server(session, server).await?;
        if session.state.judge.borrow().has_crashed() {
            break;
        }
        let violations = session.state.judge.borrow().violation_count();
        on_step(&format!("cycle {cycle} of {}: {violations} violations so far", session.options.cycles));
    }
    Ok(server)
}

/// Starts the clients that depend on the timetable.
fn start_probes(session: &Rc<Session>) {
    switchers::start(session);
    talkers::start(session);
    leavers::start(session);
    offenders::start(session);
    sizes::start(session);
    deflate::start(session);
    burdens::start(session);
    laggards::start(session);
}

/// The end of a trial: the stall, a time without clients, and the shutdown with a new group of clients.
///
/// # Errors
///
/// Another server answers in the place of the one that was started.
async fn end(
    session: &Rc<Session>,
    mut server: Option<Spawned>,
    files: &Files,
    crowd: &Crowd,
    on_step: &impl Fn(&str),
) -> Result<(), ConformError> {
    session.wait(session.options.cycles, STALL.0).await;
    server = running_server(session, server).await?;
    if session.tries(Guarantee::G7) && (server.is_some() || session.options.pid.is_some()) {
        on_step("the server is stopped for two cycles");
        stall::run(session, server.as_ref()).await;
    }
    on_step("all clients leave");
    session.end();
    crowd.leave();
    session.finish().await;
    crowd.conclude(session);
    let left = session.state.now();
    reconnects::run(session, server.as_ref(), on_step).await;
    on_step("no client is connected for two cycles");
    tokio::join!(absence::wait(session), leftovers::count(session, server.as_ref(), files));
    server = running_server(session, server).await?;
    absence::watch_return(session, left).await;
    if session.tries(Guarantee::G14) && server.is_some() {
        server = running_server(session, server).await?;
        if let Some(server) = &mut server {
            on_step("the server is told to shut down");
            shutdown::run(session, server).await;
        }
    }
    session.finish().await;
    if let Some(server) = &server
        && session.tries(Guarantee::G15)
        && session.options.is_strict
    {
        shutdown::read_log(session, &server.log());
    }
    Ok(())
}

/// The server, unless it has ended by itself: then its clients have lost it, or another server has been serving
/// them.
async fn running_server(session: &Session, server: Option<Spawned>) -> Result<Option<Spawned>, ConformError> {
    let Some(mut server) = server else { return Ok(None) };
    let Some(sentence) = server.exit_sentence() else { return Ok(Some(server)) };
    let socket = session.state.socket;
    if accepts_connections(socket).await {
        let sentence = format!("another server answers on {socket} in its place: {sentence}");
        return Err(ConformError::Occupied(sentence));
    }
    session.state.judge.borrow_mut().on_crash(sentence);
    Ok(None)
}

/// Makes the first connection, which shows whether there is a server at all. A server may refuse one request in some:
/// that is judged as soon as another one is accepted.
///
/// # Errors
///
/// No connection opens. The sentence says what the server answered.
async fn connect_first(session: &Session) -> Result<(), ConformError> {
    let mut refused = Vec::new();
    for _ in 0..FIRST_ATTEMPTS {
        match LiveClient::connect(&session.state, "first connection").await {
            Ok(client) => {
                client.quit();
                refused.iter().for_each(|error| session.report_refusal("first connection", error));
                return Ok(());
            }
            Err(error @ NoConnection::Refused(..)) => refused.push(error),
            Err(error) => return Err(unreachable(session, &error)),
        }
    }
    Err(unreachable(session, &refused[0]))
}

fn unreachable(session: &Session, error: &NoConnection) -> ConformError {
    ConformError::Unreachable(format!("{}: {error}", session.state.address))
}

/// Starts the server and waits until it accepts connections. Refuses to start if another server listens there: that
/// one would be judged instead.
async fn start_server(command: &str, socket: SocketAddr) -> Result<Spawned, ConformError> {
    if accepts_connections(socket).await {
        let sentence = format!(
            "another server listens on {socket} already: stop it, or let the one of --spawn listen elsewhere"
        );
        return Err(ConformError::Occupied(sentence));
    }
    let mut server = Spawned::start(command)
        .map_err(|error| ConformError::System(format!("cannot start {command:?}: {error}")))?;
    server.wait_until_accepting(socket).await.map_err(ConformError::Unreachable)?;
    Ok(server)
}

/// Waits for the first push, which the timetable depends on.
async fn await_first_push(session: &Session, on_step: &impl Fn(&str)) {
    let started = session.state.now();
    let bound = started + session.period() * PATIENT_PERIODS;
    while !session.state.judge.borrow().grid.is_known() && session.state.now() < bound {
        session.state.pulse.sleep(session.period() / 200).await;
    }
    let mut judge = session.state.judge.borrow_mut();
    if judge.grid.is_known() {
        return on_step("the first push has arrived");
    }
    on_step("no push has arrived; the other guarantees are tried nevertheless");
    judge.grid.assume(started + session.period());
}
