//! The kinds of clients in a scenario.

/// The behaviour of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Behaves like the original app, as [`AppProfile`](crate::AppProfile) configures it.
    App,
    /// Connects and leaves again and again.
    Flapper,
    /// Sends far more echo traffic than it reads.
    Flooder,
    /// Vanishes without a Close or a reset.
    Ghost,
    /// Breaks rules of RFC 6455 or of HTTP.
    Hostile,
    /// Stops reading soon after it connects.
    NeverReader,
    /// Sends nothing, and compares each push byte for byte.
    Pedant,
    /// Reads a few bytes a second through a small window.
    SlowReader,
    /// Never completes its handshake.
    Staller,
    /// Subscribes and unsubscribes all the time, and sends every legal kind of message.
    Switcher,
}

impl Behaviour {
    /// All behaviours, in alphabetical order.
    pub const ALL: [Self; 10] = [
        Self::App,
        Self::Flapper,
        Self::Flooder,
        Self::Ghost,
        Self::Hostile,
        Self::NeverReader,
        Self::Pedant,
        Self::SlowReader,
        Self::Staller,
        Self::Switcher,
    ];

    /// The behaviour's name in scenario files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Flapper => "flapper",
            Self::Flooder => "flooder",
            Self::Ghost => "ghost",
            Self::Hostile => "hostile",
            Self::NeverReader => "never-reader",
            Self::Pedant => "pedant",
            Self::SlowReader => "slow-reader",
            Self::Staller => "staller",
            Self::Switcher => "switcher",
        }
    }
}
