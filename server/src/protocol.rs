//! Commands, replies, push texts and close reasons: plain values, defined for any input.

use crate::time::WallTime;
use crate::zone::Zone;

/// The start of every reply. The answered text follows, byte for byte (G8).
pub const ECHO_PREFIX: &str = "Server received: ";

/// The start of every push. The due instant follows as `yyyy-MM-dd HH:mm:ss` (G6).
pub const PUSH_PREFIX: &str = "Server push message at ";

/// The text that switches pushes on.
pub const SUBSCRIBE: &str = "subscribe";

/// The text that switches pushes off.
pub const UNSUBSCRIBE: &str = "unsubscribe";

/// A text that changes the subscription and gets no reply (G9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Switch pushes on.
    Subscribe,
    /// Switch pushes off.
    Unsubscribe,
}

impl Command {
    /// The command that `text` equals, byte for byte; `None` for a text that gets an echo.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            SUBSCRIBE => Some(Self::Subscribe),
            UNSUBSCRIBE => Some(Self::Unsubscribe),
            _ => None,
        }
    }
}

/// The text of the push of the cycle that was due at `due`, 42 bytes, with whole seconds in `zone`.
pub fn push_text(due: WallTime, zone: &Zone) -> String {
    format!("{PUSH_PREFIX}{}", zone.format(due))
}

/// The reason for a Close that the server sends unasked.
///
/// The table "Ends of a connection" in `PROTOCOL.md` says what a client should do after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The server shuts down.
    GoingAway,
    /// The client broke a rule of RFC 6455; the sentence names the rule, in at most 123 bytes.
    ProtocolError(&'static str),
    /// A text message, or the reason of a Close, was not UTF-8.
    InvalidText,
    /// A message was longer than [`Config::max_message`](crate::Config::max_message).
    TooBig,
    /// The client did not read its pushes, and its outbox overflowed.
    TooSlow,
}

impl CloseReason {
    /// The status code of RFC 6455 section 7.4.1, or of IANA's registry (1013).
    pub fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::ProtocolError(_) => 1002,
            Self::InvalidText => 1007,
            Self::TooBig => 1009,
            Self::TooSlow => 1013,
        }
    }

    /// A sentence for the developer of the client. It has at most 123 bytes, as a control frame holds no more.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::GoingAway => "the server is shutting down",
            Self::ProtocolError(rule) => rule,
            Self::InvalidText => "text is not valid UTF-8",
            Self::TooBig => "message is larger than this server accepts",
            Self::TooSlow => "pushes were not read in time; reconnect and read faster",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_match_byte_for_byte() {
        assert_eq!(Command::parse("subscribe"), Some(Command::Subscribe));
        assert_eq!(Command::parse("unsubscribe"), Some(Command::Unsubscribe));
        for near_miss in ["Subscribe", " subscribe", "subscribe ", "subscribe\n", "unsubscribed", "", "sub"] {
            assert_eq!(Command::parse(near_miss), None, "{near_miss:?}");
        }
    }

    #[test]
    fn the_push_text_is_that_of_the_original_app() {
        let due = WallTime::from_unix_seconds(1_795_348_800);
        assert_eq!(push_text(due, &Zone::UTC), "Server push message at 2026-11-22 12:00:00");
    }

    #[test]
    fn every_sentence_fits_a_control_frame() {
        for reason in [
            CloseReason::GoingAway,
            CloseReason::ProtocolError(""),
            CloseReason::InvalidText,
            CloseReason::TooBig,
            CloseReason::TooSlow,
        ] {
            assert!(reason.sentence().len() <= 123, "{reason:?}");
        }
    }

    proptest! {
        #[test]
        fn every_text_but_the_two_commands_gets_an_echo(text in ".*") {
            let is_command = text == SUBSCRIBE || text == UNSUBSCRIBE;
            prop_assert_eq!(Command::parse(&text).is_some(), is_command);
        }
    }
}
