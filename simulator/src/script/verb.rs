//! The verbs of a script: what clients can do, and what can happen to the server.

use std::time::Duration;

use crate::network::link::{LinkPlan, Reading};
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// An action of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The client opens a connection over a link with these properties.
    Connect(LinkPlan),
    /// The client ends its connection, or the connection fails.
    Leave(Departure),
    /// The client breaks a rule of RFC 6455 or of HTTP.
    Offend(Offence),
    /// The client changes how it reads.
    Read(Reading),
    /// The client sends these messages and control frames in one write.
    Say(Vec<Utterance>),
}

/// An event that concerns the server as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerVerb {
    /// The server is paused, as by a long garbage collection or on a suspended machine.
    Pause(Duration),
    /// The server ends at once and starts again. Its clients reconnect all at once.
    Restart,
    /// The server's wall clock moves by this many seconds, forward or backward.
    SetClock(i64),
}

/// A message or a control frame of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utterance {
    /// A binary message with the text `unsubscribe`, which must change nothing (G9).
    Binary,
    /// A ping whose payload is this number in 4 bytes, big-endian.
    Ping(u32),
    /// An unsolicited pong.
    Pong,
    /// A text in this many fragments, which may split a character.
    Fragmented(Text, u8),
    /// A text in one frame.
    Text(Text),
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The client sends a Close.
    Clean,
    /// The client ends its side of the stream without a Close, and continues to read.
    HalfClose,
    /// What the server sends is lost from now on, and the client does not notice.
    LoseDown,
    /// What the client sends is lost from now on.
    LoseUp,
    /// The client's process ends, and with it the stream, without a Close.
    Quit,
    /// The client resets the connection. Bytes in transit are lost. Toxiproxy calls this `reset_peer`.
    Reset,
    /// The network fails, and neither side is notified.
    Vanish,
}

impl Departure {
    /// All departures.
    pub const ALL: [Self; 7] =
        [Self::Clean, Self::HalfClose, Self::LoseDown, Self::LoseUp, Self::Quit, Self::Reset, Self::Vanish];

    /// The departure's name in scripts.
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
