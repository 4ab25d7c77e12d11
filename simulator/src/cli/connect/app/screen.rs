//! The lines that the user sees, each with its local time.

use std::io::{self, Write};

use carillon_server::log::escape;
use chrono::Local;
use tokio_tungstenite::tungstenite::Message;

/// Where the lines are printed.
pub(super) struct Screen<W>(pub(super) W);

impl<W: Write> Screen<W> {
    /// Prints a message that arrived; tungstenite handles control frames.
    pub(super) fn show(&mut self, message: &Message) -> io::Result<()> {
        match message {
            Message::Binary(bytes) => self.print(&format!("({} bytes of binary)", bytes.len())),
            Message::Text(text) => self.print(&escape(text)),
            _ => Ok(()),
        }
    }

    /// Prints a line about the connection.
    pub(super) fn say(&mut self, state: &str) -> io::Result<()> {
        self.print(&format!("* {state}"))
    }

    fn print(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.0, "{}  {line}", Local::now().format("%H:%M:%S%.3f"))?;
        self.0.flush()
    }
}
