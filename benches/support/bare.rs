//! The minimum: the least work with which a process can write one frame to many sockets.

use std::os::fd::{BorrowedFd, RawFd};

use io_uring::{IoUring, opcode, types};
use rustix::net::SendFlags;

/// Sends per system call, as many as in a slice of the server.
const BATCH: usize = carillon_server::hub::SLICE;

/// One `write` after the other. Returns whether every socket accepted all bytes.
///
/// The sockets must be open: the shard owns the streams, and the process may not have files for duplicates.
pub(crate) fn write_all(sockets: &[RawFd], frame: &[u8]) -> bool {
    sockets.iter().all(|&socket| rustix::io::write(borrow(socket), frame) == Ok(frame.len()))
}

/// One `send` after the other, under the same conditions.
pub(crate) fn send_all(sockets: &[RawFd], frame: &[u8]) -> bool {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sockets.iter().all(|&socket| rustix::net::send(borrow(socket), frame, flags) == Ok(frame.len()))
}

#[expect(unsafe_code, reason = "the shard owns the streams")]
fn borrow(socket: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the shard holds every stream as long as its client does, which is longer than any round.
    unsafe { BorrowedFd::borrow_raw(socket) }
}

/// An io_uring that sends, and checks that all bytes were accepted.
pub(crate) struct BareRing(IoUring);

impl BareRing {
    pub(crate) fn open() -> Self {
        Self(IoUring::new(BATCH as u32).expect("the system has io_uring"))
    }

    /// One batch after the other. Returns whether every socket accepted all bytes.
    pub(crate) fn send_all(&mut self, sockets: &[RawFd], frame: &[u8]) -> bool {
        sockets.chunks(BATCH).all(|batch| self.send_batch(batch, frame))
    }

    #[expect(unsafe_code, reason = "the kernel is given the address of the frame")]
    fn send_batch(&mut self, batch: &[RawFd], frame: &[u8]) -> bool {
        let mut queue = self.0.submission();
        for &socket in batch {
            let send = opcode::Send::new(types::Fd(socket), frame.as_ptr(), frame.len() as u32)
                .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                .build();
            // SAFETY: the frame outlives the call below, which returns when the whole batch is reported.
            unsafe { queue.push(&send) }.expect("the queue holds a batch");
        }
        drop(queue);
        let submitted = self.0.submit_and_wait(batch.len()).expect("the kernel takes a batch");
        assert_eq!(submitted, batch.len(), "a batch was taken in part");
        self.0.completion().filter(|report| report.result() as usize == frame.len()).count() == batch.len()
    }
}
