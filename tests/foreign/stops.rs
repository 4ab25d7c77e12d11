//! A correct server that is stopped for a while, at any phase of its period, is not accused: silence on all connections
//! is a stall, and what comes late because of it is excused.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use carillon_simulator::live::Address;
use carillon_simulator::live::conform::{ConformOptions, conform};

use super::SERVER;
use super::subjects::violated;
use crate::support::free_port;

const PERIOD: Duration = Duration::from_secs(1);

/// How long the server is stopped, in milliseconds, each at every phase.
const STOPS: [u64; 10] = [200, 400, 600, 800, 900, 1000, 1300, 1700, 2300, 3000];
const PHASES: u32 = 20;

/// The cycles in which the stop begins, in turn.
const CYCLES: [u32; 5] = [3, 4, 5, 6, 7];

const AT_ONCE: usize = 8;

/// A stop of the server.
#[derive(Clone, Copy, Debug)]
struct Stop {
    after: Duration,
    lasts: Duration,
}

fn stops() -> Vec<Stop> {
    let all = STOPS.iter().flat_map(|millis| (0..PHASES).map(move |phase| (*millis, phase)));
    all.enumerate()
        .map(|(index, (millis, phase))| Stop {
            after: PERIOD * CYCLES[index % CYCLES.len()] + PERIOD * phase / PHASES,
            lasts: Duration::from_millis(millis),
        })
        .collect()
}

/// Starts the server, and waits until it listens.
fn start(port: u16) -> Child {
    let mut command = Command::new("python3");
    command.args([SERVER, &port.to_string(), "--period", "1"]).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("python3 starts");
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::sleep(Duration::from_millis(10));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill {name}");
}

/// The guarantees of which a server is accused that is stopped once.
fn accusations(stop: Stop) -> Vec<String> {
    let port = free_port();
    let mut server = start(port);
    let address = Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL");
    let options = ConformOptions {
        max_message: Some(64 << 10),
        close_timeout: Duration::from_secs(3),
        ..ConformOptions::new(address, PERIOD)
    };
    let trial = thread::spawn(move || conform(options, |_| ()).expect("a server that serves"));
    thread::sleep(stop.after);
    signal(&server, "-STOP");
    thread::sleep(stop.lasts);
    signal(&server, "-CONT");
    let found = violated(&trial.join().expect("the trial does not panic"));
    server.kill().and_then(|()| server.wait()).expect("a child of ours");
    found
}

#[test]
#[ignore = "ten minutes"]
fn a_server_that_is_stopped_for_a_while_is_not_accused() {
    if !super::is_there("python3") {
        return;
    }
    let (waiting, accused) = (Mutex::new(stops().into_iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().expect("no thread panics while it holds the lock").next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(stop) = next() {
                    let found = accusations(stop);
                    println!("{stop:?}: {found:?}");
                    if !found.is_empty() {
                        accused.lock().expect("no thread panics with the lock").push((stop, found));
                    }
                }
            });
        }
    });
    let accused = accused.into_inner().expect("no thread panics with the lock");
    assert!(accused.is_empty(), "{accused:#?}");
}
