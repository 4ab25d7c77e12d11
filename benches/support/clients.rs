//! Clients in a separate process on the second core: many sockets that are opened, and read on command.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::child::{self, Child};
use super::{arrivals, frames, machine};

/// The longest time that a client waits for its bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clients that only listen, seen from the server's side.
///
/// They do not read until a command tells them to. Waking a client that waits in the kernel costs the process that
/// writes to it, which doubles the cost of a delivery; and the clients of most servers are on other machines.
pub(crate) struct Listeners(Child);

impl Listeners {
    /// The first word of [`child::role`] in their process; address and number follow.
    pub(crate) const ROLE: &'static str = "listeners";

    /// Starts the clients, which connect in the background.
    pub(crate) fn start(server: SocketAddr, count: usize) -> Self {
        Self(Child::start(&format!("{} {server} {count}", Self::ROLE)))
    }

    /// Waits until all of them are open.
    pub(crate) fn await_open(&mut self) {
        self.0.await_report("open");
    }

    /// Lets each client read this many bytes, and asserts that there are no more.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.0.order(&format!("read {bytes}"));
        self.0.await_report("read");
    }

    /// Makes the kernel stamp arriving data, for [`Listeners::arrivals`].
    pub(crate) fn stamp(&mut self) {
        self.0.order("stamp");
        self.0.await_report("stamping");
    }

    /// Lets each client read this many bytes. Returns when the first client had all its bytes, and when the last, on
    /// the clock of [`machine::moment`].
    pub(crate) fn arrivals(&mut self, bytes: usize) -> (Duration, Duration) {
        self.0.order(&format!("arrivals {bytes}"));
        let report = self.0.hear();
        let moment = |nanos: &str| Duration::from_nanos(nanos.parse().expect("the child says a number"));
        let (first, last) = report.split_once(' ').expect("the child says two numbers");
        (moment(first), moment(last))
    }

    /// Runs the clients' process.
    pub(crate) fn live(server: &str, count: &str) {
        let mut sockets = open(server, count);
        for order in child::orders() {
            let (verb, bytes) = order.split_once(' ').unwrap_or((&order, "0"));
            let bytes = bytes.parse().expect("the parent says a number");
            match verb {
                "read" => {
                    sockets.iter_mut().for_each(|socket| read(socket, bytes));
                    child::report("read");
                }
                "stamp" => arrivals::stamp(&sockets),
                "arrivals" => arrivals::report(&sockets, bytes),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Connections to `server` that were upgraded, and a report that they are open.
pub(crate) fn open(server: &str, count: &str) -> Vec<TcpStream> {
    machine::pin(1);
    let count = count.parse().expect("the parent says a number");
    let mut sockets: Vec<_> = (0..count).map(|_| connect(server)).collect();
    sockets.iter_mut().for_each(read_response);
    child::report("open");
    sockets
}

/// One client in this process.
pub(crate) fn open_one(server: SocketAddr) -> TcpStream {
    let mut socket = connect(&server.to_string());
    read_response(&mut socket);
    socket
}

/// The length in bytes of the server's text frame with a payload of this length.
pub(crate) fn length_of_reply(payload: usize) -> usize {
    payload + if payload <= 125 { 2 } else { 4 }
}

fn connect(server: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server).expect("the server listens");
    socket.set_nodelay(true).expect("the socket is open");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is more than zero");
    socket.write_all(frames::REQUEST).expect("the kernel has room for so little");
    socket
}

/// Reads the response byte by byte, so that it consumes no byte behind the response.
fn read_response(socket: &mut TcpStream) {
    let (mut response, mut byte) = (Vec::new(), [0]);
    while !response.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("the server answers");
        response.push(byte[0]);
    }
    assert!(response.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&response));
}

fn read(socket: &mut TcpStream, expected: usize) {
    let (mut read, mut buffer) = (0, [0; 1024]);
    while read < expected {
        let count = socket.read(&mut buffer).expect("the server has sent everything");
        assert!(count > 0, "the server has left");
        read += count;
    }
    assert_eq!(read, expected, "the server sent more than one frame");
}
