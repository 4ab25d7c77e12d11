//! Log lines as JSON: one object per line, with the keys in a fixed order.

use std::fmt::Write;

use chrono::{DateTime, FixedOffset, SecondsFormat};

use crate::log::{FELL_BACK, LogLine, is_escaped};
use crate::time::WallTime;
use crate::zone::Zone;

/// The JSON form of a line of the core. `total` is the number of open connections.
pub(super) fn line(line: &LogLine<'_>, wall: WallTime, zone: &Zone, total: u64) -> String {
    let mut object = Object::new(line.event(), wall, zone);
    match *line {
        LogLine::Closing { reason } => {
            object.number("code", u64::from(reason.code()));
            object.text("reason", reason.sentence());
        }
        LogLine::Connected | LogLine::Disconnected => object.number("total", total),
        LogLine::Pushed { cycle, subscribers } => {
            object.number("cycle", cycle);
            object.number("subscribers", subscribers);
        }
        LogLine::Received { text } => object.text("text", text),
        LogLine::Refused { status } => object.number("status", u64::from(status)),
        LogLine::Skipped { cycles } => object.number("cycles", cycles),
        LogLine::FellBack => object.text("text", FELL_BACK),
        LogLine::Dead | LogLine::Subscribed | LogLine::Unsubscribed => {}
    }
    object.end()
}

/// The JSON form of a sentence of the shell.
pub(super) fn note(event: &str, sentence: &str, wall: WallTime, zone: &Zone) -> String {
    let mut object = Object::new(event, wall, zone);
    object.text("text", sentence);
    object.end()
}

/// A JSON object under construction; its keys keep the order in which they were written.
struct Object(String);

impl Object {
    fn new(event: &str, wall: WallTime, zone: &Zone) -> Self {
        let mut object = Self("{\"time\":".to_owned());
        object.push_string(&rfc3339(wall, zone));
        object.text("event", event);
        object
    }

    fn number(&mut self, key: &str, value: u64) {
        self.push_key(key);
        write!(self.0, "{value}").expect("writing to a string does not fail");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.push_key(key);
        self.push_string(value);
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn push_key(&mut self, key: &str) {
        self.0.push(',');
        self.push_string(key);
        self.0.push(':');
    }

    fn push_string(&mut self, value: &str) {
        let json = serde_json::to_string(value).expect("a string is always JSON");
        // serde_json escapes only the characters below U+0020, as JSON demands.
        if !json.contains(is_escaped) {
            return self.0.push_str(&json);
        }
        for character in json.chars() {
            if is_escaped(character) {
                write!(self.0, "\\u{:04x}", u32::from(character)).expect("writing to a string does not fail");
            } else {
                self.0.push(character);
            }
        }
    }
}

/// A date such as `2026-11-22T12:00:00.000+08:00`.
fn rfc3339(wall: WallTime, zone: &Zone) -> String {
    let offset = FixedOffset::east_opt(zone.offset(wall.as_unix_seconds()));
    let utc = DateTime::from_timestamp_nanos(wall.as_unix_nanos());
    match offset {
        Some(offset) => utc.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Millis, false),
        None => utc.to_rfc3339_opts(SecondsFormat::Millis, false),
    }
}
