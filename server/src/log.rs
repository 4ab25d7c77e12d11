//! Log lines as values. The core hands them out and the shell writes them, so that writing never blocks a shard.

use crate::protocol::CloseReason;
use crate::time::WallTime;
use crate::zone::Zone;

/// What [`LogLine::FellBack`] says.
pub(crate) const FELL_BACK: &str = "Fan-out by plain sends from now on, as the io_uring has failed";

/// One thing that happened (G15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLine<'a> {
    /// The server ends a connection of its own accord.
    Closing {
        /// Why.
        reason: CloseReason,
    },
    /// The upgrade was accepted.
    Connected,
    /// A peer was silent for too long and is cut off.
    Dead,
    /// A connection whose upgrade had been accepted is gone.
    Disconnected,
    /// The kernel has let a batch of sends down: the shard writes to one socket after the other from now on.
    FellBack,
    /// A cycle's push was offered to everybody it was due to.
    Pushed {
        /// The cycle.
        cycle: u64,
        /// To how many connections of this shard.
        subscribers: u64,
    },
    /// A text message arrived, commands included.
    Received {
        /// The text, as it came.
        text: &'a str,
    },
    /// A handshake was answered with an error status.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// Cycles came due that nobody was awake to deliver.
    Skipped {
        /// How many.
        cycles: u64,
    },
    /// A client switched pushes on.
    Subscribed,
    /// A client switched pushes off.
    Unsubscribed,
}

impl LogLine<'_> {
    /// The line for people, in the words of the seed document where it has some.
    ///
    /// `total` is the number of connections that are open now, over all shards.
    pub fn render(&self, wall: WallTime, zone: &Zone, total: u64) -> String {
        match self {
            Self::Closing { reason } => {
                format!("Closing a connection: {} {}", reason.code(), reason.sentence())
            }
            Self::Connected => format!("Client connected. Total connections: {total}"),
            Self::Dead => "Cut off a client that was silent for too long".to_owned(),
            Self::Disconnected => format!("Client disconnected. Total connections: {total}"),
            Self::FellBack => FELL_BACK.to_owned(),
            Self::Pushed { cycle, subscribers } => {
                format!("[{}] push {cycle}: {subscribers} subscribers", zone.format(wall))
            }
            Self::Received { text } => format!("Received message: {}", escape(text)),
            Self::Refused { status } => format!("Refused a handshake: {status}"),
            Self::Skipped { cycles } => format!("[{}] skipped {cycles} cycles", zone.format(wall)),
            Self::Subscribed => format!("[{}] subscribe: 开启推送", zone.format(wall)),
            Self::Unsubscribed => format!("[{}] unsubscribe: 关闭推送", zone.format(wall)),
        }
    }

    /// A short name of the event, for machines.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Closing { .. } => "closing",
            Self::Connected => "connected",
            Self::Dead => "dead",
            Self::Disconnected => "disconnected",
            Self::FellBack => "fanout",
            Self::Pushed { .. } => "pushed",
            Self::Received { .. } => "received",
            Self::Refused { .. } => "refused",
            Self::Skipped { .. } => "skipped",
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// `text` on one line: what would move a terminal's cursor is spelled out, so that no client can forge a log line.
pub fn escape(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    // A text that is nothing but control characters costs a shard hardly more than any other.
    let mut clean = 0;
    for (at, character) in text.char_indices().filter(|(_, character)| is_escaped(*character)) {
        line.push_str(&text[clean..at]);
        clean = at + character.len_utf8();
        match character {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            _ => spell_out(&mut line, character),
        }
    }
    line.push_str(&text[clean..]);
    line
}

/// Whether [`escape`] spells a character out, as a terminal would not simply show it: control characters, line and
/// paragraph separators, and the marks that reorder text (`Bidi_Control`).
#[doc(hidden)]
pub fn is_escaped(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

/// `\u{1b}`; formatting would take ten times as long.
fn spell_out(line: &mut String, character: char) {
    let code = u32::from(character);
    let digits = (code.max(1).ilog2() / 4) + 1;
    line.push_str("\\u{");
    line.extend((0..digits).rev().filter_map(|digit| char::from_digit(code >> (4 * digit) & 0xF, 16)));
    line.push('}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: WallTime = WallTime::from_unix_seconds(1_795_348_800);

    #[test]
    fn the_lines_of_the_seed_are_kept() {
        let render = |line: LogLine<'_>| line.render(NOON, &Zone::UTC, 3);
        assert_eq!(render(LogLine::Connected), "Client connected. Total connections: 3");
        assert_eq!(render(LogLine::Received { text: "Heartbeat" }), "Received message: Heartbeat");
        assert_eq!(render(LogLine::Unsubscribed), "[2026-11-22 12:00:00] unsubscribe: 关闭推送");
        assert_eq!(render(LogLine::Subscribed), "[2026-11-22 12:00:00] subscribe: 开启推送");
    }

    #[test]
    fn nobody_forges_a_line() {
        let text = "a\nClient connected. Total connections: 9\u{1b}[2J\u{2028}é\r\tb";
        assert_eq!(escape(text), "a\\nClient connected. Total connections: 9\\u{1b}[2J\\u{2028}é\\r\\tb");
        assert_eq!(escape("\0\u{61c}\u{200e}\u{202e}x\u{7f}"), "\\u{0}\\u{61c}\\u{200e}\\u{202e}x\\u{7f}");
    }

    proptest! {
        #[test]
        fn an_escaped_text_has_no_control_character(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_escaped));
        }
    }
}
