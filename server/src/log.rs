//! Log lines as values. The core creates them and the shell writes them, so that writing never blocks a shard.

use crate::protocol::CloseReason;
use crate::time::WallTime;
use crate::zone::Zone;

/// The text of [`LogLine::FellBack`].
pub(crate) const FELL_BACK: &str = "Fan-out by plain sends from now on, as the io_uring has failed";

/// One event for the log (G15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLine<'a> {
    /// The server closes a connection unasked.
    Closing {
        /// The reason, which the Close frame names.
        reason: CloseReason,
    },
    /// The upgrade was accepted.
    Connected,
    /// The server cuts off a client that was silent for twice the ping interval.
    Dead,
    /// A connection whose upgrade had been accepted is gone.
    Disconnected,
    /// The kernel rejected a batch of sends: from now on the shard writes to one socket after the other.
    FellBack,
    /// The shard has offered a cycle's push to all its subscribers.
    Pushed {
        /// The number of the cycle, from 1.
        cycle: u64,
        /// The number of connections of this shard that the push was offered to.
        subscribers: u64,
    },
    /// A text message arrived, commands included.
    Received {
        /// The text as received; [`LogLine::render`] escapes it.
        text: &'a str,
    },
    /// A handshake was answered with an error status.
    Refused {
        /// The HTTP status, 400 to 503.
        status: u16,
    },
    /// Cycles came due while the server stood still, and are too old to be delivered.
    Skipped {
        /// The number of skipped cycles, at least 1.
        cycles: u64,
    },
    /// A client switched pushes on.
    Subscribed,
    /// A client switched pushes off.
    Unsubscribed,
}

impl LogLine<'_> {
    /// The line as text. Where the original app logs the same event, the wording is the app's.
    ///
    /// `wall` is the time of the event, and `total` the number of connections that are open now, over all shards.
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

    /// A short name of the event for the JSON log.
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

/// Puts `text` on one line: characters that move a terminal's cursor are spelled out, so that no client can forge a
/// log line.
pub fn escape(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    // Clean pieces are copied whole, and `spell_out` does not format: a text of control characters only costs a shard
    // hardly more than any other text.
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

/// Whether [`escape`] spells a character out because a terminal does not simply show it: control characters, line and
/// paragraph separators, and the marks that reorder text (`Bidi_Control`).
#[doc(hidden)]
pub fn is_escaped(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

/// Appends a form such as `\u{1b}`. The formatting macros take ten times as long.
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
    fn the_lines_of_the_original_app_are_kept() {
        let render = |line: LogLine<'_>| line.render(NOON, &Zone::UTC, 3);
        assert_eq!(render(LogLine::Connected), "Client connected. Total connections: 3");
        assert_eq!(render(LogLine::Received { text: "Heartbeat" }), "Received message: Heartbeat");
        assert_eq!(render(LogLine::Unsubscribed), "[2026-11-22 12:00:00] unsubscribe: 关闭推送");
        assert_eq!(render(LogLine::Subscribed), "[2026-11-22 12:00:00] subscribe: 开启推送");
    }

    #[test]
    fn no_client_can_forge_a_line() {
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
