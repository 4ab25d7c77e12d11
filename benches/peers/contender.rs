//! Who is compared, and how one of them is put through its rounds.

use carillon_server::Config;

use super::figures::Round;
use super::support::clients::Listeners;
use super::support::server::{PUSH, Server};
use super::support::{machine, ours};
use super::{frameworks, plain};

/// A server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// A loop of `write`, the floor of all that do one system call per client.
    Plain,
    /// Ours, one send after the other.
    Portable,
    /// The same with two shards.
    PortableTwo,
    /// Ours, through an io_uring.
    Batched,
    /// The same with two shards.
    BatchedTwo,
    /// tokio-tungstenite with a channel and a writer task per client, as its defaults are.
    Channels,
    /// The same with small buffers.
    ChannelsTuned,
    /// axum with a broadcast channel.
    Broadcast,
}

impl Contender {
    /// In the order of the table; the plain loop is first.
    pub(crate) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Portable,
        Self::PortableTwo,
        Self::Batched,
        Self::BatchedTwo,
        Self::Channels,
        Self::ChannelsTuned,
        Self::Broadcast,
    ];

    /// The words for it in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain `write` loop",
            Self::Portable => "Carillon, portable",
            Self::PortableTwo => "Carillon, portable, two shards",
            Self::Batched => "Carillon, batched",
            Self::BatchedTwo => "Carillon, batched, two shards",
            Self::Channels => "tokio-tungstenite, mpsc per client",
            Self::ChannelsTuned => "the same, 256 B read buffers",
            Self::Broadcast => "axum, broadcast",
        }
    }

    /// What its process is told to be.
    fn role(self) -> String {
        let ours = |fanout, shards| ours::role(fanout, shards, &Config::default());
        match self {
            Self::Plain => plain::ROLE.to_owned(),
            Self::Portable => ours("portable", 1),
            Self::PortableTwo => ours("portable", 2),
            Self::Batched => ours("batched", 1),
            Self::BatchedTwo => ours("batched", 2),
            Self::Channels => frameworks::CHANNELS.to_owned(),
            Self::ChannelsTuned => frameworks::CHANNELS_TUNED.to_owned(),
            Self::Broadcast => frameworks::BROADCAST.to_owned(),
        }
    }
}

/// The life of a server's process.
pub(crate) fn live(role: &[String]) {
    machine::pin(0);
    match &role[0][..] {
        plain::ROLE => plain::live(),
        ours::ROLE => ours::live(&role[1..]),
        other => frameworks::live(other),
    }
}

/// One of them with its clients.
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
        let server = Server::start(&contender.role());
        // Code that is loaded on its first use belongs to nobody in particular.
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

    /// One push, while the clients rest.
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
