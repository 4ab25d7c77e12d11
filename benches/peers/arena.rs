//! One server of the comparison with its clients and its rounds.

use carillon_server::Config;

use super::contender::Contender;
use super::figures::Round;
use super::support::clients::Listeners;
use super::support::server::{PUSH, Server};
use super::support::{machine, ours};
use super::{frameworks, plain};

/// Runs a server's process.
pub(crate) fn live(role: &[String]) {
    machine::pin(0);
    match &role[0][..] {
        plain::ROLE => plain::live(),
        ours::ROLE => ours::live(&role[1..]),
        other => frameworks::live(other),
    }
}

/// One server with its clients.
pub(crate) struct Arena {
    connections: usize,
    server: Server,
    clients: Listeners,
    /// Bytes of resident memory per connection before the first push.
    pub(crate) idle_memory: f64,
}

impl Arena {
    /// Starts the server and its clients.
    pub(crate) fn open(contender: Contender, connections: usize) -> Self {
        let server = Server::start(&role(contender));
        // Code that is loaded on its first use must not count for a connection.
        let mut first = Listeners::start(server.address, 1);
        first.await_open();
        let before = server.settled_resident();
        let mut clients = Listeners::start(server.address, connections);
        clients.await_open();
        clients.stamp();
        drop(first);
        let grown = server.settled_resident().saturating_sub(before);
        Self { connections, server, clients, idle_memory: grown as f64 / connections as f64 }
    }

    /// One push, while the clients do not read.
    pub(crate) fn round(&mut self) -> Round {
        let before = self.server.settled_processor_time();
        let began = self.server.push();
        let spent = self.server.settled_processor_time() - before;
        let (first, last) = self.clients.arrivals(PUSH);
        Round {
            spent: spent.as_secs_f64() * 1e6 / self.connections as f64,
            first: (first - began).as_secs_f64() * 1e3,
            last: (last - began).as_secs_f64() * 1e3,
        }
    }
}

/// The role of a server's process.
fn role(contender: Contender) -> String {
    let ours = |fanout, shards| ours::role(fanout, shards, &Config::default());
    match contender {
        Contender::Plain => plain::ROLE.to_owned(),
        Contender::Portable => ours("portable", 1),
        Contender::PortableTwo => ours("portable", 2),
        Contender::Batched => ours("batched", 1),
        Contender::BatchedTwo => ours("batched", 2),
        Contender::Channels => frameworks::CHANNELS.to_owned(),
        Contender::ChannelsTuned => frameworks::CHANNELS_TUNED.to_owned(),
        Contender::Broadcast => frameworks::BROADCAST.to_owned(),
    }
}
