//! The server's own count of what it holds. The oracle compares it with what the server should hold.

/// The connections and bytes that a server holds, by its own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections that the server considers open.
    pub connections: usize,
    /// Bytes in partial messages and in outboxes, over all connections.
    pub held: usize,
}
