//! The reference server: shards on separate threads, as in `carillon serve`, and a clock that leaps to the next push.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use carillon_server::shell::{Fanout, Journal, LogFormat, Shard, return_large_blocks};
use carillon_server::{Announcer, Config, Timestamp, Zone};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;

use super::leaping::LeapingClock;
use super::{machine, server};

pub(crate) const ROLE: &str = "ours";

/// The leap of the clock with every push.
pub(crate) const PERIOD: Duration = Duration::from_secs(300);

/// Ten years: the clock leaps one period per round, and no client should be pinged.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(3650 * 86_400);

/// A task for a shard's thread.
enum Task {
    Push,
    Serve(std::net::TcpStream),
}

/// The words that start the process: [`ROLE`] and the settings.
pub(crate) fn role(fanout: &str, shards: usize, config: &Config) -> String {
    let Config { max_message, outbox_limit, close_timeout, .. } = config;
    format!("{ROLE} {fanout} {shards} {max_message} {outbox_limit} {}", close_timeout.as_secs())
}

/// Runs the server's process.
pub(crate) fn live(words: &[String]) {
    let [fanout, shards, max_message, outbox_limit, close_timeout] = words else { panic!("{words:?}") };
    let config = Config {
        period: PERIOD,
        ping_interval: PING_INTERVAL,
        max_message: number(max_message),
        outbox_limit: number(outbox_limit),
        close_timeout: Duration::from_secs(number(close_timeout)),
        ..Config::default()
    };
    machine::pin(0);
    return_large_blocks();
    let announcer = Arc::new(Mutex::new(Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC)));
    let clock = Arc::new(LeapingClock::default());
    let journal = Journal::new(LogFormat::Text, Zone::UTC, io::sink()).expect("room for one more thread");
    let journal = Arc::new(journal);
    let start = |core| {
        let (sender, tasks) = unbounded_channel();
        let (config, announcer, clock) = (config.clone(), announcer.clone(), clock.clone());
        let (journal, fanout) = (journal.clone(), fanout.clone());
        thread::spawn(move || {
            machine::pin(core);
            let shard = Shard::new(config, announcer, clock, journal, core as u64);
            let shard = shard.expect("the configuration is valid");
            shard.set_fanout(fanout_of(&fanout));
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            runtime.expect("the system has room for one more epoll instance").block_on(run(shard, tasks));
        });
        sender
    };
    let shards: Vec<_> = (0..number(shards)).map(start).collect();
    let address = accept(server::listen(), shards.clone());
    server::obey(address, || {
        let due = announcer.lock().expect("no thread panicked").poll_timeout();
        clock.leap(due.expect("it was not stopped"));
        shards.iter().for_each(|shard| shard.send(Task::Push).expect("the shard lives"));
    });
}

fn fanout_of(name: &str) -> Fanout {
    match name {
        "portable" => Fanout::portable(),
        "batched" => Fanout::uring().expect("the system has io_uring"),
        other => panic!("{other:?}"),
    }
}

/// Gives the connections to the shards in turn.
fn accept(listener: TcpListener, shards: Vec<UnboundedSender<Task>>) -> SocketAddr {
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for (stream, shard) in listener.incoming().zip(shards.iter().cycle()) {
            let stream = stream.expect("no client leaves before");
            stream.set_nodelay(true).expect("the socket is open");
            stream.set_nonblocking(true).expect("the socket is open");
            shard.send(Task::Serve(stream)).expect("the shard lives");
        }
    });
    address
}

/// Runs a shard's thread: like the server's own, but it pushes on command.
async fn run(shard: Shard<TcpStream>, mut tasks: UnboundedReceiver<Task>) {
    let mut timer = spawn_local(shard.run());
    while let Some(task) = tasks.recv().await {
        match task {
            // `run` is called again, so that the shard notices the leap of the clock.
            Task::Push => {
                timer.abort();
                timer = spawn_local(shard.run());
            }
            Task::Serve(stream) => {
                let stream = TcpStream::from_std(stream).expect("the runtime has a driver");
                spawn_local(shard.serve(stream, true));
            }
        }
    }
}

fn number<N: FromStr>(word: &str) -> N {
    word.parse().ok().expect("the parent says a number")
}
