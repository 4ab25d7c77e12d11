//! What the person types.

use std::future::pending;
use std::io;

use carillon_server::protocol::{SUBSCRIBE, UNSUBSCRIBE};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Split};

/// One typed line.
pub(super) enum Line {
    /// Not UTF-8, so no text message.
    Garbled,
    /// The person leaves.
    Quit,
    /// The switch, or the command that it stands for: spelled out, it must move the switch too, or a reconnect would
    /// undo it.
    Switch(bool),
    /// What is sent as it is.
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

    /// The next line; pending forever once the input has ended. Dropping it loses nothing.
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
