//! A fan-out over loopback TCP: one shard of the server, on each of its paths, next to the simplest loops that write
//! the same bytes to the same sockets: one of `write`, one of `send`, and one of io_uring batches. The first two
//! differ by the work of the kernel's file layer before it reaches the socket.
//!
//! The bench measures the processor time of the server's thread, as the kernel accounts for it: the server on the first
//! core, the clients in a separate process on the second. Rounds alternate, and after each round the clients read all
//! bytes, so that the next round finds every socket empty. The plain loop against itself, two rounds apart, shows the
//! noise of a ratio.

mod support;

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use carillon_server::shell::{Clock, Fanout, Journal, LogFormat, Shard};
use carillon_server::{Announcer, Config, Now, Timestamp, Zone};
use carillon_simulator::Scenario;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use support::bare::{self, BareRing};
use support::clients::Listeners;
use support::leaping::LeapingClock;
use support::ours::{PERIOD, PING_INTERVAL};
use support::spread::Spread;
use support::{child, machine, server};

const CONNECTIONS: [u32; 2] = [1_000, 10_000];

/// The pairs that are discarded, and the pairs that count.
const WARM_UP: usize = 3;
const PAIRS: usize = 25;

/// The interval at which the number of open connections is checked while they arrive.
const LOOK: Duration = Duration::from_millis(10);

fn main() {
    if let Some(role) = child::role() {
        let [Listeners::ROLE, server, count] = [&role[0][..], &role[1], &role[2]] else { panic!("{role:?}") };
        Listeners::live(server, count);
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        let mut arena = Arena::open(connections);
        rows.push(compare(&mut arena));
        measure(&mut criterion, &mut arena);
    }
    criterion.final_summary();
    print_table(&rows);
}

/// The code path that writes one frame to all sockets.
#[derive(Clone, Copy)]
enum Path {
    /// A loop of `write`.
    Write,
    /// A loop of `send`.
    Send,
    /// The shard, one send after the other.
    Portable,
    /// A loop of io_uring batches.
    Ring,
    /// The shard, with its io_uring.
    Batched,
}

impl Path {
    const ALL: [Self; 5] = [Self::Write, Self::Send, Self::Portable, Self::Ring, Self::Batched];

    const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Send => "send",
            Self::Portable => "portable",
            Self::Ring => "ring",
            Self::Batched => "batched",
        }
    }

    /// The simplest loop that uses the same system calls.
    const fn bare(self) -> Self {
        match self {
            Self::Write => Self::Write,
            Self::Send | Self::Portable => Self::Send,
            Self::Ring | Self::Batched => Self::Ring,
        }
    }
}

/// The processor time of one delivery of a round, in µs: of the server's thread, and of the kernel's thread that helps
/// with receiving.
#[derive(Clone, Copy)]
struct Cost {
    own: f64,
    helper: f64,
}

/// One round on each path.
type Rounds = [Cost; Path::ALL.len()];

/// Interleaved rounds, and the rows of the table about them.
fn compare(arena: &mut Arena) -> String {
    let rounds: Vec<Rounds> = (0..WARM_UP + PAIRS).map(|turn| arena.rounds(turn)).skip(WARM_UP).collect();
    Path::ALL.map(|path| row(arena.connections, path, &rounds)).concat()
}

fn row(connections: u32, path: Path, rounds: &[Rounds]) -> String {
    let own = Spread::of(rounds.iter().map(|round| round[path as usize].own));
    let helper = Spread::of(rounds.iter().map(|round| round[path as usize].helper)).median;
    let (write, bare) = (ratio(rounds, path, Path::Write), ratio(rounds, path, path.bare()));
    let (name, bare_name) = (path.name(), path.bare().name());
    format!("| {connections} | {name} | {own} | {helper:.2} | {write} | {bare_name}: {bare} |\n")
}

/// The ratio of each round to the other path's round in the same turn, or to the same path's round in the turn before.
fn ratio(rounds: &[Rounds], of: Path, to: Path) -> Spread {
    let is_itself = of as usize == to as usize;
    let others = &rounds[usize::from(is_itself)..];
    Spread::of(
        others
            .iter()
            .zip(rounds)
            .map(|(of_round, to_round)| of_round[of as usize].own / to_round[to as usize].own),
    )
}

fn print_table(rows: &[String]) {
    println!(
        "Processor time per delivery in µs, and its ratio to that of the loop of `write` and of the bare loop of the same \
         system calls: median of {PAIRS} interleaved rounds (least … most). A loop is compared with its own round \
         before.\n"
    );
    println!(
        "| connections | path | server's thread | ksoftirqd | to write | to the bare loop |\n|---|---|---|---|---|---|"
    );
    println!("{}", rows.concat());
}

/// The same rounds for criterion, which compares them with its last run.
fn measure(criterion: &mut Criterion, arena: &mut Arena) {
    let mut group = criterion.benchmark_group("fanout_tcp");
    // Enough for little more than ten rounds: the clients read far longer than a round takes, which does not count.
    let budget = Duration::from_micros(250) * arena.connections;
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(budget / 10)
        .measurement_time(budget);
    group.throughput(Throughput::Elements(arena.connections.into()));
    for path in Path::ALL {
        group.bench_function(BenchmarkId::new(path.name(), arena.connections), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| arena.round(path)).sum());
        });
    }
    group.finish();
}

/// One shard with its sockets, and their clients.
struct Arena {
    connections: u32,
    runtime: LocalRuntime,
    shard: Shard<TcpStream>,
    announcer: Arc<Mutex<Announcer>>,
    clock: Arc<LeapingClock>,
    /// The sockets of the shard's streams.
    sockets: Vec<RawFd>,
    ring: BareRing,
    clients: Listeners,
}

impl Arena {
    fn open(connections: u32) -> Self {
        let scenario = Scenario::fanout(connections, PERIOD, PERIOD);
        let config = Config { ping_interval: PING_INTERVAL, ..scenario.server };
        let announcer = Arc::new(Mutex::new(Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC)));
        let clock = Arc::new(LeapingClock::default());
        let journal = Journal::new(LogFormat::Text, Zone::UTC, io::sink()).expect("room for one more thread");
        let shard = Shard::new(config, announcer.clone(), clock.clone(), Arc::new(journal), 1);
        let shard = shard.expect("the configuration is valid");
        machine::pin(0);
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime.expect("the system has room for one more epoll instance");
        let (sockets, mut clients) = runtime.block_on(accept_all(&shard, connections as usize));
        clients.await_open();
        let ring = BareRing::open();
        Self { connections, runtime, shard, announcer, clock, sockets, ring, clients }
    }

    /// A round on each path. Each turn begins with another path, as a round affects the next one through caches and
    /// sockets.
    fn rounds(&mut self, turn: usize) -> Rounds {
        let mut rounds = [Cost { own: 0.0, helper: 0.0 }; Path::ALL.len()];
        let paths = Path::ALL.iter().cycle().skip(turn % Path::ALL.len());
        for &path in paths.take(Path::ALL.len()) {
            rounds[path as usize] = self.cost(path);
        }
        rounds
    }

    fn cost(&mut self, path: Path) -> Cost {
        let before = machine::softirq_time(0);
        let own = self.round(path);
        let helper = machine::softirq_time(0) - before;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(self.connections);
        Cost { own: each(own), helper: each(helper) }
    }

    /// The processor time of one frame to all clients.
    fn round(&mut self, path: Path) -> Duration {
        match path {
            Path::Write => self.bare_round(|sockets, _, frame| bare::write_all(sockets, frame)),
            Path::Send => self.bare_round(|sockets, _, frame| bare::send_all(sockets, frame)),
            Path::Portable => self.shard_round(Fanout::portable()),
            Path::Ring => self.bare_round(|sockets, ring, frame| ring.send_all(sockets, frame)),
            Path::Batched => self.shard_round(Fanout::uring().expect("the system has io_uring")),
        }
    }

    /// One push to all clients, as the server does it.
    fn shard_round(&mut self, fanout: Fanout) -> Duration {
        self.shard.set_fanout(fanout);
        self.clock.leap(self.next_due());
        let ((), spent) = machine::accounted(|| self.runtime.block_on(one_push(&self.shard)));
        self.clients.read(self.frame().len());
        spent
    }

    /// The same bytes to the same sockets, as cheaply as the kernel allows.
    fn bare_round(&mut self, send_all: fn(&[RawFd], &mut BareRing, &[u8]) -> bool) -> Duration {
        let frame = self.frame();
        let send_all = || send_all(&self.sockets, &mut self.ring, &frame);
        let (is_written, spent) = machine::accounted(send_all);
        assert!(is_written, "a socket was full");
        self.clients.read(frame.len());
        spent
    }

    /// A push of another announcer: all pushes have the same length.
    fn frame(&self) -> Arc<[u8]> {
        let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
        announcer.handle_timeout(Now { at: Timestamp::ZERO + PERIOD, ..self.clock.now() });
        let push = announcer.pushes_after(0).next().expect("cycle 1 is due");
        Arc::clone(push.frame())
    }

    fn next_due(&self) -> Timestamp {
        let announcer = self.announcer.lock().expect("no thread panicked");
        announcer.poll_timeout().expect("it was not stopped")
    }
}

/// Runs the shard until it has delivered one more push.
async fn one_push(shard: &Shard<TcpStream>) {
    let delivered = shard.counters().pushes;
    let mut run = pin!(shard.run());
    poll_fn(|cx| {
        assert!(run.as_mut().poll(cx).is_pending(), "a shard runs for ever");
        if shard.counters().pushes > delivered { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Starts clients and gives their sockets to the shard, as the server does.
async fn accept_all(shard: &Shard<TcpStream>, connections: usize) -> (Vec<RawFd>, Listeners) {
    let listener = server::listen_in_runtime();
    let address = listener.local_addr().expect("it is bound");
    let clients = Listeners::start(address, connections);
    let mut sockets = Vec::new();
    while sockets.len() < connections {
        let (stream, _) = listener.accept().await.expect("no client leaves");
        stream.set_nodelay(true).expect("the socket is open");
        sockets.push(stream.as_raw_fd());
        tokio::task::spawn_local(shard.serve(stream, true));
    }
    while shard.census().subscribed < connections {
        tokio::time::sleep(LOOK).await;
    }
    (sockets, clients)
}
