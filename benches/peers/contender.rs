//! The servers of the comparison.

/// One server of the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// A loop of `write`, the minimum for every server with one system call per client.
    Plain,
    /// Carillon, one send after the other.
    Portable,
    /// The same with two shards.
    PortableTwo,
    /// Carillon, through an io_uring.
    Batched,
    /// The same with two shards.
    BatchedTwo,
    /// tokio-tungstenite with its defaults, and a channel and a writer task per client.
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

    /// The name of the server in the table.
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
}
