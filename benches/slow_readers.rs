//! Slow readers during a fan-out: one client in a hundred never reads. The bench measures whether the others wait, the
//! memory that the slow clients cost, and the ends of their connections.
//!
//! Two servers take turns, which differ only in the slow clients. The slow clients first flood the server with
//! messages whose echoes they do not read, until the server no longer reads from them: their outboxes are then half
//! full, and every push brings them nearer to the limit.

mod support;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use carillon_server::Config;
use rustix::net::sockopt;

use support::child::{self, Child};
use support::clients::{self, Listeners};
use support::server::{PUSH, Server};
use support::spread::Spread;
use support::{frames, machine, ours};

const SLOW: usize = 50;
const HEALTHY: usize = 99 * SLOW;

/// The number of pairs of rounds while the slow clients are stuck.
const PAIRS: usize = 25;

/// The server's default, in bytes.
const OUTBOX_LIMIT: usize = 256 << 10;

/// The payload of the slow clients' messages, in bytes.
const MESSAGE: usize = 1 << 10;

/// The number of pushes that fill an outbox that is half full.
const PUSHES: usize = OUTBOX_LIMIT / 2 / PUSH + 1;

/// The kernel buffers of a slow client, in bytes. They are small, so that the server's outbox soon fills.
const KERNEL_BUFFER: usize = 64 << 10;

/// The number of pushes from the first full outbox to the last: they were half full to within one message.
const CLOSING: usize = 2 * MESSAGE / PUSH;

/// The clock leaps a period with every push. The clients that wake up when all outboxes have filled find their Close.
const CLOSE_TIMEOUT: Duration = ours::PERIOD.saturating_mul(CLOSING as u32);

/// A client is stuck when the kernel has accepted no byte for this time.
const STUCK: Duration = Duration::from_millis(500);

/// The time that the clients that woke up wait for the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two checks of all sockets.
const GLANCE: Duration = Duration::from_millis(1);

const SLEEPERS: &str = "sleepers";

fn main() {
    match child::role().as_deref() {
        None => compare(),
        Some([role, server, count]) if role == Listeners::ROLE => Listeners::live(server, count),
        Some([role, server, count]) if role == SLEEPERS => sleep(server, count),
        Some([role, words @ ..]) if role == ours::ROLE => ours::live(words),
        Some(other) => panic!("{other:?}"),
    }
}

fn compare() {
    let mut with = Arena::open();
    let mut without = Arena::open();
    let mut others = Listeners::start(without.server.address, SLOW);
    others.await_open();
    let mut slow = [0, 1].map(|_| Child::start(&format!("{SLEEPERS} {} {}", with.server.address, SLOW / 2)));
    slow.iter_mut().for_each(|half| half.await_report("open"));
    let before = with.server.settled_resident();
    for half in &mut slow {
        half.order("flood");
        half.await_report("stuck");
    }
    let stuck = with.server.settled_resident();
    let mut most = stuck;
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push((with.round(), without.round()));
        others.read(PUSH);
    }
    for _ in PAIRS..PUSHES {
        with.push();
        most = most.max(with.server.resident());
    }
    let [early, late] = &mut slow;
    early.order("wake");
    let early = early.hear();
    (0..=CLOSING).for_each(|_| with.push());
    late.order("wake");
    print_times(&pairs);
    println!(
        "Resident memory grew by {} KiB until the slow ones were stuck, and by {} KiB at most until they were closed; \
         {SLOW} times the outbox limit are {} KiB.\n",
        stuck.saturating_sub(before) >> 10,
        most.saturating_sub(before) >> 10,
        (SLOW * OUTBOX_LIMIT) >> 10
    );
    println!("After {PUSHES} pushes half of them woke up: {early}.");
    println!("The other half slept on until the close timeout was over: {}.\n", late.hear());
}

fn print_times(pairs: &[(f64, f64)]) {
    let column = |pick: fn(&(f64, f64)) -> f64| Spread::of(pairs.iter().map(pick));
    let noise = Spread::of(pairs.windows(2).map(|two| two[1].1 / two[0].1));
    println!("{HEALTHY} clients that read and {SLOW} that never do, one shard, portable; {PAIRS} pairs:\n");
    println!("| to the last reader, ms | median (least … most) |\n|---|---|");
    println!("| with {SLOW} clients that never read | {} |", column(|pair| pair.0));
    println!("| with {SLOW} more that do | {} |", column(|pair| pair.1));
    println!("| ratio | {} |", column(|pair| pair.0 / pair.1));
    println!("| the latter to itself, a round later | {noise} |\n");
}

/// A server and the clients that read.
struct Arena {
    server: Server,
    healthy: Listeners,
}

impl Arena {
    fn open() -> Self {
        let config = Config { outbox_limit: OUTBOX_LIMIT, close_timeout: CLOSE_TIMEOUT, ..Config::default() };
        let server = Server::start(&ours::role("portable", 1, &config));
        let mut healthy = Listeners::start(server.address, HEALTHY);
        healthy.await_open();
        healthy.stamp();
        Self { server, healthy }
    }

    /// One push, whose duration is not measured.
    fn push(&mut self) {
        self.server.push();
        self.healthy.read(PUSH);
    }

    /// The time from the beginning of a push until the last reader has it, in ms.
    fn round(&mut self) -> f64 {
        let began = self.server.push();
        self.server.settled_processor_time();
        let (_, last) = self.healthy.arrivals(PUSH);
        (last - began).as_secs_f64() * 1e3
    }
}

/// Runs the process of the clients that do not read.
fn sleep(server: &str, count: &str) {
    let mut sockets = clients::open(server, count);
    for order in child::orders() {
        match &order[..] {
            "flood" => {
                flood(&mut sockets);
                child::report("stuck");
            }
            "wake" => child::report(&wake(&mut sockets)),
            other => panic!("{other:?}"),
        }
    }
}

/// Sends messages until no socket accepts more.
fn flood(sockets: &mut [TcpStream]) {
    let frame = frames::text(&"x".repeat(MESSAGE));
    for socket in &mut *sockets {
        sockopt::set_socket_recv_buffer_size(&*socket, KERNEL_BUFFER).expect("the socket is open");
        sockopt::set_socket_send_buffer_size(&*socket, KERNEL_BUFFER).expect("the socket is open");
        socket.set_nonblocking(true).expect("the socket is open");
    }
    let mut rests = vec![VecDeque::new(); sockets.len()];
    let mut moved_at = machine::moment();
    while machine::moment() - moved_at < STUCK {
        let mut has_moved = false;
        for (socket, rest) in sockets.iter_mut().zip(&mut rests) {
            has_moved |= send_some(socket, rest, &frame);
        }
        if has_moved {
            moved_at = machine::moment();
        } else {
            thread::sleep(GLANCE);
        }
    }
}

/// Sends as much as the socket accepts, frame by frame. Returns whether it accepted a byte.
fn send_some(socket: &mut TcpStream, rest: &mut VecDeque<u8>, frame: &[u8]) -> bool {
    if rest.is_empty() {
        rest.extend(frame);
    }
    match socket.write(rest.make_contiguous()) {
        Ok(count) => {
            rest.drain(..count);
            count > 0
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

/// The end of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    CloseTryAgainLater,
    Other,
    Reset,
}

/// Reads all bytes from all sockets at once, and counts the ends.
fn wake(sockets: &mut [TcpStream]) -> String {
    let mut received = vec![Vec::new(); sockets.len()];
    let mut ends = vec![None; sockets.len()];
    let woke_at = machine::moment();
    while ends.contains(&None) && machine::moment() - woke_at < PATIENCE {
        for ((socket, received), end) in sockets.iter_mut().zip(&mut received).zip(&mut ends) {
            if end.is_none() {
                *end = read_some(socket, received);
            }
        }
        thread::sleep(GLANCE);
    }
    let count = |wanted| ends.iter().filter(|end| **end == wanted).count();
    format!(
        "{} read a Close 1013, {} were cut off, {} ended otherwise, {} were still open",
        count(Some(End::CloseTryAgainLater)),
        count(Some(End::Reset)),
        count(Some(End::Other)),
        count(None)
    )
}

/// Reads the available bytes, and returns the end if it comes next.
fn read_some(socket: &mut TcpStream, received: &mut Vec<u8>) -> Option<End> {
    match socket.read_to_end(received) {
        Ok(_) if ends_with_1013(received) => Some(End::CloseTryAgainLater),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(End::Reset),
        _ => Some(End::Other),
    }
}

/// Whether the last frame is a Close with code 1013. Its payload is short.
fn ends_with_1013(received: &[u8]) -> bool {
    let code = 1013_u16.to_be_bytes();
    let is_close =
        |tail: &[u8]| tail[0] == 0x88 && tail.len() == 2 + usize::from(tail[1]) && tail[2..4] == code;
    (4..=127.min(received.len())).any(|length| is_close(&received[received.len() - length..]))
}
