//! The lines that the user types.

use std::future::pending;
use std::io;

use carillon_server::protocol::{SUBSCRIBE, UNSUBSCRIBE};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Split};

/// One typed line.
pub(super) enum Line {
    /// A line that is not UTF-8, and so cannot be a text message.
    Garbled,
    /// The user leaves.
    Quit,
    /// The switch, as `on` or `off` or as the command that it stands for. A typed command sets the switch too:
    /// otherwise a reconnect would undo the command.
    Switch(bool),
    /// A message that is sent unchanged.
    Text(String),
}

/// The typed lines, one at a time.
pub(super) struct Input<R> {
    /// `None` once the input has ended.
    lines: Option<Split<BufReader<R>>>,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// The lines of this input.
    pub(super) fn new(input: R) -> Self {
        Self { lines: Some(BufReader::new(input).split(b'\n')) }
    }

    /// The next line; pending forever after the end of the input. Dropping the future loses no input.
    pub(super) async fn next(&mut self) -> io::Result<Line> {
        let Some(lines) = &mut self.lines else {
            return pending().await;
        };
        match lines.next_segment().await? {
            Some(line) => Ok(parse(line)),
            None => {
                self.lines = None;
                pending().await
            }
        }
    }
}

fn parse(mut line: Vec<u8>) -> Line {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match String::from_utf8(line) {
        Err(_) => Line::Garbled,
        Ok(text) => match text.as_str() {
            "off" | UNSUBSCRIBE => Line::Switch(false),
            "on" | SUBSCRIBE => Line::Switch(true),
            "quit" => Line::Quit,
            _ => Line::Text(text),
        },
    }
}
