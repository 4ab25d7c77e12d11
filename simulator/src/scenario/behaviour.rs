//! The kinds of clients that a scenario can ask for.

/// What a client is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// The app of the seed document.
    App,
    /// Comes and goes all the time.
    Flapper,
    /// Sends far more echo traffic than it reads.
    Flooder,
    /// Vanishes without a word.
    Ghost,
    /// Breaks the rules.
    Hostile,
    /// Stops reading soon after it came.
    NeverReader,
    /// Says nothing at all, and checks each push to the letter.
    Pedant,
    /// Reads a few bytes a second through a small window.
    SlowReader,
    /// Never completes its handshake.
    Staller,
    /// Uses the switch all the time, and says whatever can be said.
    Switcher,
}

impl Behaviour {
    /// All of them.
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

    /// The word for it in scenarios and reports.
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
