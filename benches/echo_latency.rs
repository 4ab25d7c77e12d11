//! The time of an echo while a push to 19,000 clients is under way: the walk is cut into slices, so that the server
//! serves commands in between.
//!
//! The subscribers do not read meanwhile. An echo counts as one during a push if the client sent its text after the
//! push began and before the kernel had the push for the last subscriber.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use carillon_server::Config;
use carillon_server::protocol::ECHO_PREFIX;

use support::child;
use support::clients::{self, Listeners};
use support::server::{PUSH, Server};
use support::{frames, machine, ours};

const SUBSCRIBERS: usize = 19_000;

const PUSHES: usize = 15;

/// Longer than any push takes.
const LONGEST: Duration = Duration::from_millis(500);

/// The number of echoes without a push at the same time.
const IDLE_ECHOES: usize = 5000;

const TEXT: &str = "Heartbeat";

fn main() {
    match child::role().as_deref() {
        None => print_table(),
        Some([role, server, count]) if role == Listeners::ROLE => Listeners::live(server, count),
        Some([role, words @ ..]) if role == ours::ROLE => ours::live(words),
        Some(other) => panic!("{other:?}"),
    }
}

fn print_table() {
    println!("Time of an echo in µs, {SUBSCRIBERS} subscribers on one shard, {PUSHES} pushes:\n");
    println!("| fan-out | idle: median | p99 | max | during a push: median | p99 | max |");
    println!("|---|---|---|---|---|---|---|");
    for fanout in ["portable", "batched"] {
        println!("{}", row(fanout));
    }
    println!();
}

fn row(fanout: &str) -> String {
    let mut server = Server::start(&ours::role(fanout, 1, &Config::default()));
    let mut subscribers = Listeners::start(server.address, SUBSCRIBERS);
    subscribers.await_open();
    subscribers.stamp();
    machine::pin(1);
    let mut talker = Talker::connect(server.address);
    let idle: Vec<_> = (0..IDLE_ECHOES).map(|_| talker.echo()).collect();
    let mut busy = Vec::new();
    for _ in 0..PUSHES {
        busy.extend(echoes_during_a_push(&mut server, &mut subscribers, &mut talker));
    }
    format!("| {fanout} | {} | {} |", quantiles(idle), quantiles(busy))
}

fn echoes_during_a_push(
    server: &mut Server,
    subscribers: &mut Listeners,
    talker: &mut Talker,
) -> Vec<Duration> {
    let began = server.push();
    let mut echoes = Vec::new();
    while machine::moment() - began < LONGEST {
        echoes.push((machine::moment(), talker.echo()));
    }
    let (_, last) = subscribers.arrivals(PUSH);
    assert!(last - began < LONGEST, "the push took {:?}", last - began);
    echoes.into_iter().filter(|(asked, _)| *asked < last).map(|(_, echo)| echo).collect()
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    format!("{:.0} | {:.0} | {:.0}", at(0.5), at(0.99), at(1.0))
}

/// An unsubscribed client that sends texts.
struct Talker {
    socket: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Talker {
    fn connect(server: SocketAddr) -> Self {
        let mut socket = clients::open_one(server);
        socket.write_all(&frames::text("unsubscribe")).expect("the kernel has room for so little");
        let reply = vec![0; clients::length_of_reply(ECHO_PREFIX.len() + TEXT.len())];
        let mut talker = Self { socket, request: frames::text(TEXT), reply };
        // The fence: the unsubscribe has taken effect.
        talker.echo();
        talker
    }

    /// The time until the answer has arrived.
    fn echo(&mut self) -> Duration {
        let asked = machine::moment();
        self.socket.write_all(&self.request).expect("the server reads");
        self.socket.read_exact(&mut self.reply).expect("the server answers");
        machine::moment() - asked
    }
}
