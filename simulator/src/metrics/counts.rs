//! Event counts of a soak.

use serde::{Deserialize, Serialize};

/// Event counts over all clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Connections that ended, on either side.
    pub closes: u64,
    /// Handshakes that succeeded.
    pub connects: u64,
    /// Handshakes that were refused, failed, or took too long.
    pub connect_failures: u64,
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// Pushes of a cycle beyond the first, on one connection.
    pub duplicates: u64,
    /// Replies that reached a client.
    pub echoes: u64,
    /// Pushes that the server owed to a client and that never came.
    pub lost: u64,
    /// Handshakes that succeeded for a client that had been connected before.
    pub reconnects: u64,
    /// Expectations that the measured times neither confirm nor refute.
    pub undecided: u64,
    /// Violations of guarantees.
    pub violations: u64,
}

impl Counts {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        // The pattern lists every field, so that the compiler reports a missing one.
        let Self {
            closes,
            connects,
            connect_failures,
            deliveries,
            duplicates,
            echoes,
            lost,
            reconnects,
            undecided,
            violations,
        } = *other;
        self.closes += closes;
        self.connects += connects;
        self.connect_failures += connect_failures;
        self.deliveries += deliveries;
        self.duplicates += duplicates;
        self.echoes += echoes;
        self.lost += lost;
        self.reconnects += reconnects;
        self.undecided += undecided;
        self.violations += violations;
    }
}
