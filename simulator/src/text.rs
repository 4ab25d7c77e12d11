//! The texts that virtual clients send, small enough to remember a queue of them per connection.

use std::collections::VecDeque;
use std::fmt::Write;

use carillon_server::protocol::{Command, SUBSCRIBE, UNSUBSCRIBE};

/// A text message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// A numbered text whose echo proves that what was sent before it took effect.
    Fence(u32),
    Heartbeat,
    Hello,
    Subscribe,
    Unsubscribe,
}

impl Text {
    pub(crate) fn command(self) -> Option<Command> {
        match self {
            Self::Subscribe => Some(Command::Subscribe),
            Self::Unsubscribe => Some(Command::Unsubscribe),
            Self::Fence(_) | Self::Heartbeat | Self::Hello => None,
        }
    }

    /// Appends the text itself.
    pub(crate) fn render(self, to: &mut String) {
        match self {
            Self::Fence(number) => write!(to, "fence-{number}").expect("writing to a string does not fail"),
            Self::Heartbeat => to.push_str("Heartbeat"),
            Self::Hello => to.push_str("Hello, Server!"),
            Self::Subscribe => to.push_str(SUBSCRIBE),
            Self::Unsubscribe => to.push_str(UNSUBSCRIBE),
        }
    }

    /// Whether `bytes` are this text, byte for byte.
    pub(crate) fn is(self, bytes: &[u8], scratch: &mut String) -> bool {
        scratch.clear();
        self.render(scratch);
        scratch.as_bytes() == bytes
    }
}

/// Texts that wait for something, in order. Mostly it is one, and that one costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct TextQueue {
    first: Option<Text>,
    #[expect(clippy::box_collection, reason = "a pointer for the many that never need it")]
    rest: Option<Box<VecDeque<Text>>>,
}

impl TextQueue {
    pub(crate) fn push(&mut self, text: Text) {
        if self.first.is_none() {
            self.first = Some(text);
        } else {
            self.rest.get_or_insert_default().push_back(text);
        }
    }

    pub(crate) fn front(&self) -> Option<Text> {
        self.first
    }

    pub(crate) fn pop(&mut self) -> Option<Text> {
        let popped = self.first.take();
        self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
        popped
    }

    /// Whether this text waits, though not as the first.
    pub(crate) fn has_behind_front(&self, mut is: impl FnMut(Text) -> bool) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.iter().any(|text| is(*text)))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
