//! The trace of one client, line by line, as values.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use carillon_server::log::escape;

use crate::trace::{Trace, Watch};

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) what: What,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The client does something.
    Acts(String),
    /// The client reads something.
    Gets(String),
    /// Its subscription is settled, on or off.
    Settled(bool),
    /// It sends bytes in one write; whether they are its request.
    Writes(usize, bool),
    /// Some of its bytes reach the server.
    Taken(usize),
    /// Bytes reach it that the server had sent then.
    Reached(Timestamp),
    /// Something else that the server sees or does.
    Server(String),
}

/// Takes down what happens to one client.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    client: u32,
    lines: Rc<RefCell<Vec<Seen>>>,
}

impl Recorder {
    pub(super) fn new(client: u32) -> Self {
        Self { client, lines: Rc::default() }
    }

    /// The trace for the run.
    pub(super) fn trace(&self) -> Trace {
        Trace::new(Watch::One(self.client), Some(Box::new(self.clone())))
    }

    pub(super) fn lines(&self) -> Vec<Seen> {
        self.lines.borrow().clone()
    }
}

/// One call is one line, as [`Trace`] writes them.
impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.borrow_mut().extend(Seen::parse(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seen {
    /// Reads `300.001000000s  client 7  sends subscribe`.
    fn parse(raw: &str) -> Option<Self> {
        let mut parts = raw.strip_suffix('\n')?.splitn(3, "  ");
        let at = parse_instant(parts.next()?)?;
        let is_wire = parts.next()?.starts_with("wire ");
        let text = escape(parts.next()?).to_string();
        let what = if is_wire { What::of_wire(&text)? } else { What::of_client(text) };
        Some(Self { at, what })
    }
}

impl What {
    fn of_client(text: String) -> Self {
        const DEEDS: [&str; 5] = ["connects", "sends ", "leaves: ", "offends: ", "reads "];
        if let Some(state) = text.strip_prefix("is settled") {
            return Self::Settled(state.ends_with("On"));
        }
        if DEEDS.iter().any(|deed| text.starts_with(deed)) { Self::Acts(text) } else { Self::Gets(text) }
    }

    fn of_wire(text: &str) -> Option<Self> {
        let number = || text.split(' ').find_map(|word| word.parse().ok());
        if text.ends_with("leaves the client") {
            return Some(Self::Writes(number()?, text.starts_with("request")));
        }
        if text.ends_with("bytes reach the server") {
            return Some(Self::Taken(number()?));
        }
        if let Some((_, sent_at)) = text.split_once(" bytes reach the client, sent at ") {
            return Some(Self::Reached(parse_instant(sent_at)?));
        }
        Some(Self::Server(text.to_owned()))
    }
}

fn parse_instant(text: &str) -> Option<Timestamp> {
    let (seconds, nanos) = text.strip_suffix('s')?.split_once('.')?;
    Some(Timestamp::ZERO + Duration::new(seconds.parse().ok()?, nanos.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_trace_are_read_back() {
        let read = |line: &str| Seen::parse(&format!("300.001000000s  {line}\n")).unwrap().what;
        assert_eq!(read("client 7  sends fence-1"), What::Acts("sends fence-1".to_owned()));
        assert_eq!(read("client 7  echo of a  b"), What::Gets("echo of a  b".to_owned()));
        assert_eq!(read("client 7  is settled by its fence: Off"), What::Settled(false));
        assert_eq!(read("wire 7  request of 160 bytes leaves the client"), What::Writes(160, true));
        assert_eq!(read("wire 7  12 bytes reach the server"), What::Taken(12));
        let sent_at = Timestamp::from_nanos(299_500_000_000);
        assert_eq!(read("wire 7  4 bytes reach the client, sent at 299.500000000s"), What::Reached(sent_at));
        assert_eq!(read("wire 7  drops the connection"), What::Server("drops the connection".to_owned()));
    }
}
