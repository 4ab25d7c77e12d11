//! A server in a separate process on the first core that pushes on command.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::child::{self, Child};
use super::machine;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;

/// The length of a push in bytes, with the header of its frame.
pub(crate) const PUSH: usize = 44;

/// The server, seen from the process that measures it.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this binary once more, with a role that ends by calling [`obey`].
    pub(crate) fn start(role: &str) -> Self {
        let mut process = Child::start(role);
        let address = process.hear().parse().expect("the child says where it listens");
        Self { process, address }
    }

    /// Lets the server push to all clients, and returns when the push began.
    pub(crate) fn push(&mut self) -> Duration {
        self.process.order("push");
        let nanos = self.process.hear().parse().expect("the child says a number");
        Duration::from_nanos(nanos)
    }

    /// The processor time of the server so far, together with the kernel's time on both cores for receiving its output.
    /// Waits until the server is idle.
    pub(crate) fn settled_processor_time(&self) -> Duration {
        let own = machine::settled_processor_time(self.process.id());
        own + machine::softirq_time(0) + machine::softirq_time(1)
    }

    /// The server's resident memory at the moment, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        machine::resident(self.process.id())
    }

    /// The server's resident memory in bytes, once it no longer changes.
    pub(crate) fn settled_resident(&self) -> u64 {
        machine::settled_resident(self.process.id())
    }
}

/// A socket on a free port of the loopback.
pub(crate) fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    rustix::net::listen(&listener, BACKLOG).expect("it listens already, with a shorter queue");
    listener
}

/// The same for the current tokio runtime.
pub(crate) fn listen_in_runtime() -> tokio::net::TcpListener {
    let listener = listen();
    listener.set_nonblocking(true).expect("the socket is open");
    tokio::net::TcpListener::from_std(listener).expect("the runtime has a driver")
}

/// Runs a server after its start: reports its address, then pushes on each command.
pub(crate) fn obey(address: SocketAddr, mut push: impl FnMut()) {
    child::report(&address.to_string());
    for _order in child::orders() {
        let began = machine::moment();
        push();
        child::report(&began.as_nanos().to_string());
    }
}
