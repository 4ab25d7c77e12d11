//! What can happen in a run from outside the server: the words of a script.

use std::time::Duration;

use crate::network::link::{LinkPlan, Reading};
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// Something that a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Opens a connection over a link like this.
    Connect(LinkPlan),
    /// Ends its connection, or is cut off.
    Leave(Departure),
    /// Breaks a rule of RFC 6455 or of HTTP.
    Offend(Offence),
    /// Reads like this from now on.
    Read(Reading),
    /// Sends these in one write.
    Say(Vec<Utterance>),
}

/// Something that happens to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerVerb {
    /// It stands still, as in a long garbage collection or on a suspended machine.
    Pause(Duration),
    /// It ends at once and starts anew; its clients come back in a storm.
    Restart,
    /// Its wall clock is set by this many seconds.
    SetClock(i64),
}

/// A message or a control frame of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utterance {
    /// A binary message: the word `unsubscribe`, which must change nothing.
    Binary,
    /// A ping with this number for a payload.
    Ping(u32),
    /// A pong that nobody has asked for.
    Pong,
    /// A text in this many fragments, cut anywhere, also within a character.
    Fragmented(Text, u8),
    /// A text in one frame.
    Text(Text),
}

/// How a client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// With a Close.
    Clean,
    /// It ends its side of the stream without a Close, and reads on.
    HalfClose,
    /// What the server sends is lost from now on, and the client does not notice.
    LoseDown,
    /// What the client sends is lost from now on.
    LoseUp,
    /// The process ends: the stream does, without a Close.
    Quit,
    /// The connection is reset, whatever is under way. Toxiproxy's `reset_peer`.
    Reset,
    /// The network is gone, and nobody learns of it.
    Vanish,
}

impl Departure {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Clean, Self::HalfClose, Self::LoseDown, Self::LoseUp, Self::Quit, Self::Reset, Self::Vanish];

    /// The word for it in a script.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::HalfClose => "half-close",
            Self::LoseDown => "lose-down",
            Self::LoseUp => "lose-up",
            Self::Quit => "quit",
            Self::Reset => "reset",
            Self::Vanish => "vanish",
        }
    }
}
