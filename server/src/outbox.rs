//! The output that a socket has not accepted yet. The session applies the limit.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::framing;

/// The queue grows by this number of chunks, or by a quarter if that is more. A queue that doubles would reserve more
/// memory than its pushes need, and thousands of slow clients have one queue each.
const MORE_CHUNKS: usize = 8;

/// The largest buffer of replies, in bytes. A buffer is freed as a whole: a single buffer would keep everything that
/// was sent to a client that reads steadily but never catches up. Together with the allocator's header this is four
/// pages.
const LARGEST_BUFFER: usize = (16 << 10) - 64;

/// The unsent rest of one connection's output, in order.
///
/// A push that is shared with other connections stays shared: its entry is a pointer. The frames of this connection
/// alone are gathered in buffers, so that many small replies need little more memory than their bytes.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    /// The number of bytes of the first chunk that were sent.
    sent: usize,
    /// The number of bytes in all chunks that were not sent.
    unsent: usize,
}

#[derive(Debug)]
enum Chunk {
    /// Whole frames of this connection, in order.
    Frames(Vec<u8>),
    /// The response to a handshake. No frame is readable without the response, so it is never dropped.
    Response(Box<[u8]>),
    /// One shared frame.
    Whole(Arc<[u8]>),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(bytes) => bytes,
            Self::Response(bytes) => bytes,
            Self::Whole(bytes) => bytes,
        }
    }
}

impl Outbox {
    /// Bytes that wait to be sent.
    pub(crate) fn len(&self) -> usize {
        self.unsent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Queues the rest of the response to a handshake, of which `sent` bytes were sent already.
    pub(crate) fn push_response(&mut self, response: &[u8], sent: usize) {
        debug_assert!(self.is_empty(), "nothing comes before the response");
        self.sent = sent;
        self.unsent = response.len() - sent;
        self.chunks.push_back(Chunk::Response(response.into()));
    }

    /// Queues the rest of a shared frame, of which `sent` bytes were sent already.
    pub(crate) fn push_shared(&mut self, frame: Arc<[u8]>, sent: usize) {
        debug_assert!(sent == 0 || self.is_empty(), "only the first frame can have been begun");
        debug_assert!(sent < frame.len(), "a frame that was sent completely is not queued");
        if self.is_empty() {
            self.sent = sent;
        }
        self.unsent += frame.len() - sent;
        self.push(Chunk::Whole(frame));
    }

    /// Queues the rest of whole frames of this connection, of which `sent` bytes were sent already.
    pub(crate) fn push_own(&mut self, frames: &[u8], sent: usize) {
        debug_assert!(sent == 0 || self.is_empty(), "only the first frame can have been begun");
        self.unsent += frames.len() - sent;
        if let Some(Chunk::Frames(bytes)) = self.chunks.back_mut()
            && bytes.len() + frames.len() <= LARGEST_BUFFER
        {
            // The outbox limit counts bytes, not capacity: a vector that doubles would hold up to twice as much.
            bytes.reserve_exact(frames.len());
            bytes.extend_from_slice(frames);
            return;
        }
        if self.is_empty() {
            self.sent = sent;
        }
        self.push(Chunk::Frames(frames.to_vec()));
    }

    fn push(&mut self, chunk: Chunk) {
        if self.chunks.len() == self.chunks.capacity() {
            self.chunks.reserve_exact(MORE_CHUNKS.max(self.chunks.len() / 4));
        }
        self.chunks.push_back(chunk);
    }

    /// Offers the waiting bytes to `send`, which returns the number of bytes accepted, until it accepts less than
    /// offered.
    pub(crate) fn flush(&mut self, mut send: impl FnMut(&[u8]) -> usize) {
        while let Some(chunk) = self.chunks.front() {
            let offered = &chunk.bytes()[self.sent..];
            let taken = send(offered);
            self.unsent -= taken;
            if taken < offered.len() {
                self.sent += taken;
                return;
            }
            self.chunks.pop_front();
            self.sent = 0;
        }
    }

    /// Drops every frame of which nothing was sent. A frame that was begun stays, as the stream would break without its
    /// rest.
    pub(crate) fn discard_unbegun(&mut self) {
        let is_response = matches!(self.chunks.front(), Some(Chunk::Response(_)));
        if self.sent == 0 && !is_response {
            self.chunks.clear();
        }
        self.chunks.truncate(1);
        if let Some(Chunk::Frames(bytes)) = self.chunks.front_mut() {
            let mut end = 0;
            while end < self.sent {
                end += framing::frame_length(&bytes[end..]);
            }
            bytes.truncate(end);
            if end == self.sent {
                self.chunks.clear();
                self.sent = 0;
            }
        }
        self.unsent = self.chunks.front().map_or(0, |chunk| chunk.bytes().len() - self.sent);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_frame(text: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        framing::encode_text(&mut frame, &[text]);
        frame
    }

    /// Operations that are valid in every state.
    #[derive(Clone, Debug)]
    enum Op {
        Discard,
        Flush { takes: usize },
        PushOwn { length: usize },
        PushShared { length: usize },
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            1 => Just(Op::Discard),
            4 => (0usize..300).prop_map(|takes| Op::Flush { takes }),
            3 => (0usize..200).prop_map(|length| Op::PushOwn { length }),
            3 => (0usize..200).prop_map(|length| Op::PushShared { length }),
        ]
    }

    /// A simple outbox: a list of frames, and the number of bytes of the first that were sent.
    #[derive(Default)]
    struct Model {
        frames: VecDeque<Vec<u8>>,
        sent: usize,
        on_the_wire: Vec<u8>,
    }

    impl Model {
        fn flush(&mut self, mut takes: usize) {
            while takes > 0
                && let Some(frame) = self.frames.front()
            {
                let taken = takes.min(frame.len() - self.sent);
                self.on_the_wire.extend_from_slice(&frame[self.sent..self.sent + taken]);
                takes -= taken;
                self.sent += taken;
                if self.sent == frame.len() {
                    self.frames.pop_front();
                    self.sent = 0;
                }
            }
        }

        fn unsent(&self) -> usize {
            self.frames.iter().map(Vec::len).sum::<usize>() - self.sent
        }
    }

    fn apply(op: &Op, outbox: &mut Outbox, model: &mut Model, wire: &mut Vec<u8>) {
        match *op {
            Op::Discard => {
                outbox.discard_unbegun();
                model.frames.truncate(usize::from(model.sent > 0));
            }
            Op::Flush { takes } => {
                let mut room = takes;
                outbox.flush(|offered| {
                    let taken = room.min(offered.len());
                    room -= taken;
                    wire.extend_from_slice(&offered[..taken]);
                    taken
                });
                model.flush(takes);
            }
            Op::PushOwn { length } => {
                let frame = text_frame(&"o".repeat(length));
                outbox.push_own(&frame, 0);
                model.frames.push_back(frame);
            }
            Op::PushShared { length } => {
                let frame = text_frame(&"s".repeat(length));
                outbox.push_shared(frame.clone().into(), 0);
                model.frames.push_back(frame);
            }
        }
    }

    proptest! {
        #[test]
        fn an_outbox_behaves_like_a_list_of_frames(ops in prop::collection::vec(any_op(), 0..60)) {
            let (mut outbox, mut model, mut wire) = (Outbox::default(), Model::default(), Vec::new());
            for op in &ops {
                apply(op, &mut outbox, &mut model, &mut wire);
                prop_assert_eq!(outbox.len(), model.unsent(), "after {:?}", op);
                prop_assert_eq!(outbox.is_empty(), model.frames.is_empty(), "after {:?}", op);
                prop_assert_eq!(&wire, &model.on_the_wire, "after {:?}", op);
            }
        }
    }

    #[test]
    fn sent_bytes_are_freed_even_if_the_outbox_is_never_empty() {
        let frame = text_frame(&"x".repeat(1000));
        let mut outbox = Outbox::default();
        outbox.push_own(&frame, 0);
        for _ in 0..10_000 {
            outbox.push_own(&frame, 0);
            let mut room = frame.len();
            outbox.flush(|offered| {
                let taken = room.min(offered.len());
                room -= taken;
                taken
            });
        }
        let held: usize = outbox.chunks.iter().map(|chunk| chunk.bytes().len()).sum();
        assert_eq!(outbox.len(), frame.len());
        assert!(held <= outbox.len() + 2 * LARGEST_BUFFER, "{held} bytes for {}", outbox.len());
    }

    #[test]
    fn the_rest_of_a_response_comes_before_everything_else() {
        let mut outbox = Outbox::default();
        outbox.push_response(b"response", 3);
        assert_eq!(outbox.len(), 5);
        outbox.push_shared(text_frame("push").into(), 0);
        let mut sent = Vec::new();
        outbox.flush(|offered| {
            sent.extend_from_slice(offered);
            offered.len()
        });
        assert_eq!(sent, [b"ponse".as_slice(), &text_frame("push")].concat());
    }

    #[test]
    fn a_discard_keeps_the_frame_that_was_begun_and_drops_the_later_ones() {
        let (first, second) = (text_frame("first"), text_frame("second"));
        let mut outbox = Outbox::default();
        outbox.push_own(&[first.clone(), second].concat(), 3);
        assert_eq!(outbox.len(), 2 + 5 - 3 + 2 + 6);
        outbox.push_shared(text_frame("third").into(), 0);
        outbox.discard_unbegun();
        let mut rest = Vec::new();
        outbox.flush(|offered| {
            rest.extend_from_slice(offered);
            offered.len()
        });
        assert_eq!(rest, first[3..]);
    }
}
