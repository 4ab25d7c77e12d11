//! Rounds of connections that come and go, while no other client is connected: does the server's memory grow with each
//! (G11)?
//!
//! A garbage collector lets memory grow for a while, and that is lawful. So growth is a violation only if it goes on.

use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use tokio::task::{JoinSet, spawn_blocking};

use super::bare_client::BareClient;
use super::leftovers::processes;
use super::session::Session;
use crate::live::run_state::{RunState, SocketOptions};
use crate::live::server::child::Spawned;
use crate::live::server::{leaks, usage};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// The connections of a round, and how many of them exist at a time.
const CONNECTIONS: u32 = 250;
const AT_ONCE: u32 = 16;

/// The number of rounds that decide whether the memory grows, and of rounds that confirm it.
const ROUNDS: usize = 4;
const FURTHER_ROUNDS: usize = 12;

/// Growth below this for each connection is none, in bytes.
const LEAST_GROWTH: u64 = 1 << 10;

/// Further rounds must be faster than this, because the trial has an end.
const LONGEST_ROUND: Duration = Duration::from_secs(2);

/// How long the server may take to release the connections of a round, and the time between two looks.
const RELEASE: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The course of the memory.
#[derive(Debug, PartialEq, Eq)]
enum Course {
    /// Not every round grew, or the growth slows down.
    Level,
    /// Every round so far grew.
    Growing,
}

/// Performs the rounds if the server's memory can be read.
pub(super) async fn run(session: &Session, server: Option<&Spawned>, on_step: &impl Fn(&str)) {
    if !session.tries(Guarantee::G11) || usage::memory_of(&processes(session, server)).is_none() {
        return;
    }
    on_step(&format!("{} rounds of {CONNECTIONS} connections, to see whether memory grows", ROUNDS + 1));
    let mut sizes = Vec::new();
    let mut slow = false;
    // The first round warms up.
    while sizes.len() <= ROUNDS
        || (course(&sizes) == Course::Growing && sizes.len() <= ROUNDS + FURTHER_ROUNDS)
    {
        let begun = session.state.now();
        slow = sizes.len() > ROUNDS && slow;
        if slow || !perform_round(&session.state).await {
            break;
        }
        let Some(memory) = usage::memory_of(&processes(session, server)) else { return };
        sizes.push(memory);
        slow = session.state.now().since(begun) > LONGEST_ROUND;
    }
    if sizes.len() > ROUNDS {
        judge(session, &sizes, session.state.now());
    }
}

/// Whether the memory grows with each connection, by its sizes after each round.
fn course(sizes: &[u64]) -> Course {
    let least = LEAST_GROWTH * u64::from(CONNECTIONS);
    let growth: Vec<u64> = sizes.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let (Some(first), Some(last)) = (growth.first(), growth.get(ROUNDS - 1)) else { return Course::Growing };
    let is_growing = growth.iter().all(|growth| *growth >= least) && *last >= first / 2;
    if is_growing { Course::Growing } else { Course::Level }
}

fn judge(session: &Session, sizes: &[u64], now: Timestamp) {
    let mut judge = session.state.judge.borrow_mut();
    let (rounds, first, last) = (sizes.len() - 1, sizes[0], sizes[sizes.len() - 1]);
    let connections = rounds as u64 * u64::from(CONNECTIONS);
    let kibibytes = last.saturating_sub(first) as f64 / 1024.0;
    let sentence = format!(
        "the server's memory went from {} to {} KiB in {connections} connections that came and left, {:.1} KiB for each",
        first >> 10,
        last >> 10,
        kibibytes / connections as f64
    );
    if course(sizes) == Course::Level {
        let stopped = if rounds > ROUNDS { ", and then it stopped to grow" } else { "" };
        judge.exercise(Guarantee::G11);
        judge.add_finding(Guarantee::G11, sentence + stopped);
    } else if rounds == ROUNDS + FURTHER_ROUNDS {
        let detail = format!("{sentence}; it grew in each of {rounds} rounds");
        judge.violate(Guarantee::G11, Fault::Leaked, now, None, detail);
    } else {
        let doubt = format!(
            "{sentence}; it grew in each of {rounds} rounds, which took too long for more of them: a garbage collector may \
             still release it"
        );
        judge.add_doubt(Guarantee::G11, doubt);
    }
}

/// Lets the connections of a round come and go. Returns whether the server took all of them.
async fn perform_round(state: &Rc<RunState>) -> bool {
    let mut lanes = JoinSet::new();
    for lane in 0..AT_ONCE {
        let state = Rc::clone(state);
        lanes.spawn_local(async move {
            for number in (lane..CONNECTIONS).step_by(AT_ONCE as usize) {
                if !come_and_go(&state, number).await {
                    return false;
                }
            }
            true
        });
    }
    let all = lanes.join_all().await.into_iter().all(|is_done| is_done);
    let (server, bound) = (state.socket, state.now() + RELEASE);
    loop {
        let connected = spawn_blocking(move || leaks::connected_sockets(server)).await.ok().flatten();
        if connected.is_none_or(|count| count == 0) || state.now() >= bound {
            return all;
        }
        state.pulse.sleep(LOOK_INTERVAL).await;
    }
}

/// Connects, sends a fence, and leaves: with a Close, or abruptly.
async fn come_and_go(state: &Rc<RunState>, number: u32) -> bool {
    let Ok(client) = BareClient::connect_and_fence(state, SocketOptions::default()).await else {
        return false;
    };
    if (number / AT_ONCE).is_multiple_of(2) {
        client.leave().await;
    } else {
        client.reset();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes after the rounds, of which each grew by so many KiB for each connection.
    fn sizes(growth: &[u64]) -> Vec<u64> {
        let mut sizes = vec![50 << 20];
        for kibibytes in growth {
            sizes.push(sizes[sizes.len() - 1] + kibibytes * 1024 * u64::from(CONNECTIONS));
        }
        sizes
    }

    #[test]
    fn memory_grows_only_if_each_round_grows_and_growth_does_not_slow_down() {
        assert_eq!(course(&sizes(&[4, 4, 4, 4])), Course::Growing);
        assert_eq!(course(&sizes(&[4, 3, 3, 2])), Course::Growing);
        assert_eq!(course(&sizes(&[4, 3, 2, 1])), Course::Level);
        assert_eq!(course(&sizes(&[4, 0, 4, 4])), Course::Level);
        assert_eq!(course(&sizes(&[4, 4, 4, 4, 4, 4, 0])), Course::Level);
        assert_eq!(course(&sizes(&[4; 16])), Course::Growing);
    }
}
