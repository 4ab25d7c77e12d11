//! What a server says that it holds, for the oracle to compare with what it should.

/// What a target holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections that it believes to be there.
    pub connections: usize,
    /// Bytes of partial messages and of outboxes.
    pub held: usize,
}
