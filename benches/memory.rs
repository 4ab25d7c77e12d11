//! The resident memory of the server's process per idle connection: when all are open, and again after all of them have
//! sent one message of 60 KB at the same time and read the echo. Also the parts of an idle connection's memory.
//!
//! The server is that of `carillon serve`, in a separate process; the clients are in another one.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use carillon_server::Hub;
use carillon_server::protocol::ECHO_PREFIX;
use carillon_server::shell::{Options, Shard, process};

use support::child::{self, Child};
use support::{clients, frames, machine};

const CONNECTIONS: usize = 10_000;

const MESSAGE: usize = 60_000;

fn main() -> ExitCode {
    match child::role().as_deref() {
        None => print_table(),
        Some([role]) if role == "server" => return serve(),
        Some([role, server, count]) if role == "talkers" => talk(server, count),
        Some(other) => panic!("{other:?}"),
    }
    ExitCode::SUCCESS
}

fn print_table() {
    let mut server = Child::start("server");
    let address = await_address(&mut server);
    server.ignore();
    // Code that is loaded on its first use must not count for a connection.
    let mut first = start_talkers(&address, 1);
    first.order("talk");
    first.await_report("silent");
    let before = machine::settled_resident(server.id());
    let mut talkers = start_talkers(&address, CONNECTIONS);
    let idle = machine::settled_resident(server.id());
    talkers.order("talk");
    talkers.await_report("silent");
    let again = machine::settled_resident(server.id());
    println!("Resident memory of the server's process, {CONNECTIONS} connections on one shard:\n");
    println!("| | MiB | KiB per connection |\n|---|---|---|");
    println!("| one connection | {:.1} | |", before as f64 / MEBI);
    let each = |memory: u64| (memory as f64 - before as f64) / CONNECTIONS as f64;
    for (name, memory) in [("idle", idle), ("idle again after 60 KB each", again)] {
        println!("| {name} | {:.1} | {:.2} |", memory as f64 / MEBI, each(memory) / 1024.0);
    }
    print_parts(each(idle));
}

/// Prints the parts of an idle connection of `each` bytes.
fn print_parts(each: f64) {
    let parts = Hub::FOOTPRINT.iter().chain(&Shard::<tokio::net::TcpStream>::FOOTPRINT);
    println!("\n| part of an idle connection | bytes |\n|---|---|");
    parts.clone().for_each(|(name, bytes)| println!("| {name} | {bytes} |"));
    let known: usize = parts.map(|(_, bytes)| bytes).sum();
    println!("| tokio's part of task and socket, allocator | {:.0} |", each - known as f64);
    println!("| together, measured | {each:.0} |\n");
}

const MEBI: f64 = (1 << 20) as f64;

fn start_talkers(server: &str, count: usize) -> Child {
    let mut talkers = Child::start(&format!("talkers {server} {count}"));
    talkers.await_report("open");
    talkers
}

/// Runs the server's process.
fn serve() -> ExitCode {
    machine::pin(0);
    process::serve(&Options {
        listen: ([127, 0, 0, 1], 0).into(),
        shards: Some(NonZeroUsize::MIN),
        ping_interval: Duration::from_secs(3600),
        ..Options::default()
    })
}

fn await_address(server: &mut Child) -> String {
    loop {
        let line = server.hear();
        if let Some((_, address)) = line.split_once("Listening on ws://") {
            return address.trim_end_matches("/ws").to_owned();
        }
    }
}

/// Runs the clients' process.
fn talk(server: &str, count: &str) {
    let mut sockets = clients::open(server, count);
    let frame = frames::text(&"x".repeat(MESSAGE));
    for _order in child::orders() {
        // Halves, so that the server holds one half of every message before the first of them is complete.
        let (front, back) = frame.split_at(frame.len() / 2);
        send_to_all(&mut sockets, front);
        send_to_all(&mut sockets, back);
        read_from_all(&mut sockets, clients::length_of_reply(ECHO_PREFIX.len() + MESSAGE));
        child::report("silent");
    }
}

fn send_to_all(sockets: &mut [TcpStream], bytes: &[u8]) {
    for socket in sockets {
        socket.write_all(bytes).expect("the server reads");
    }
}

fn read_from_all(sockets: &mut [TcpStream], length: usize) {
    let mut reply = vec![0; length];
    for socket in sockets {
        socket.read_exact(&mut reply).expect("the server answers");
    }
}
