//! Bytes in transit, shared by all of their receivers.

use carillon_server::Timestamp;

/// The id of the bytes of one write: a small index that fits an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PayloadId(pub(crate) u32);

/// An event has 24 bits for the id of its payload.
const MOST: usize = 1 << 24;

/// Up to this size, in bytes, a free slot keeps its memory. Without a limit every slot would in time be as large as the
/// largest payload.
const LARGEST_KEPT: usize = 2048;

/// A slab of byte strings with reference counts. It holds a push to 100,000 clients once, and reuses the memory when
/// the last client has read it.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    slots: Vec<Payload>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Payload {
    bytes: Vec<u8>,
    references: u32,
    sent_at: Timestamp,
}

impl Payloads {
    /// Stores the joined `parts`, without a reference yet.
    pub(crate) fn add(&mut self, parts: &[&[u8]], sent_at: Timestamp) -> PayloadId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Payload::default());
            assert!(self.slots.len() <= MOST, "fewer than 2^24 writes are in transit");
            (self.slots.len() - 1) as u32
        });
        let payload = &mut self.slots[index as usize];
        payload.bytes.clear();
        for part in parts {
            payload.bytes.extend_from_slice(part);
        }
        payload.sent_at = sent_at;
        PayloadId(index)
    }

    /// Takes the bytes out, so that the network can be used while a client reads them. The caller returns them with
    /// [`Payloads::put_back`].
    pub(crate) fn take(&mut self, id: PayloadId) -> Vec<u8> {
        std::mem::take(&mut self.slots[id.0 as usize].bytes)
    }

    /// Returns the bytes that were taken out, and releases one reference.
    pub(crate) fn put_back(&mut self, id: PayloadId, bytes: Vec<u8>) {
        self.slots[id.0 as usize].bytes = bytes;
        self.release(id);
    }

    /// When the sender handed the bytes over.
    pub(crate) fn sent_at(&self, id: PayloadId) -> Timestamp {
        self.slots[id.0 as usize].sent_at
    }

    pub(crate) fn retain(&mut self, id: PayloadId) {
        self.slots[id.0 as usize].references += 1;
    }

    pub(crate) fn release(&mut self, id: PayloadId) {
        let payload = &mut self.slots[id.0 as usize];
        payload.references -= 1;
        self.discard_unused(id);
    }

    /// Frees a payload without references.
    pub(crate) fn discard_unused(&mut self, id: PayloadId) {
        let payload = &mut self.slots[id.0 as usize];
        if payload.references > 0 {
            return;
        }
        if payload.bytes.capacity() > LARGEST_KEPT {
            payload.bytes = Vec::new();
        }
        self.free.push(id.0);
    }

    /// The number of payloads in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_after_the_last_reference() {
        let mut payloads = Payloads::default();
        let first = payloads.add(&[b"ab", b"c"], Timestamp::ZERO);
        payloads.retain(first);
        payloads.retain(first);
        payloads.release(first);
        let bytes = payloads.take(first);
        assert_eq!(bytes, b"abc");
        payloads.put_back(first, bytes);
        assert_eq!(payloads.in_use(), 0);
        assert_eq!(payloads.add(&[b"d"], Timestamp::ZERO), first);
    }
}
