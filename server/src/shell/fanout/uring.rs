//! One frame to many sockets through an io_uring: a single system call for up to [`SLICE`] sends. All unsafe code of
//! the batches is in this file.
//!
//! The kernel reads a buffer that belongs to the [`Ring`] alone. The ring writes to the buffer only while no send is in
//! flight. A ring that cannot finish its sends leaks the buffer and is never used again.

use std::io;
use std::iter::Map;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::slice;

use io_uring::squeue::PushError;
use io_uring::{IoUring, Probe, opcode, squeue, types};

use crate::hub::SLICE;

/// A send that finds no room fails at once. A send to a client that has left returns an error instead of raising a
/// signal.
const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// The result of a send that the kernel never saw: as after a failed send, no byte was accepted.
const UNTRIED: i32 = -libc::EAGAIN;

/// The result of a send that the kernel took and did not report. No error number is as low.
const UNKNOWN: i32 = i32::MIN;

/// The number of bytes accepted by each send of a batch, in order; `None` where it is not known.
pub(super) type Results<'a> = Map<slice::Iter<'a, i32>, fn(&i32) -> Option<usize>>;

/// An io_uring for fan-outs. No send is in flight between two calls of [`Ring::send_all`].
pub(in crate::shell) struct Ring {
    /// `None` after a batch that could not be finished.
    queues: Option<IoUring>,
    /// The buffer that the kernel reads.
    frame: Vec<u8>,
    /// The sockets of the present batch, and the results of their sends: bytes, or a negative error number.
    sockets: Vec<Option<RawFd>>,
    results: Vec<i32>,
}

impl Ring {
    /// Asks the kernel for a ring.
    ///
    /// # Errors
    ///
    /// The kernel is too old (`ENOSYS`), a policy forbids it (`EPERM`), or memory or files are short.
    pub(in crate::shell) fn open() -> io::Result<Self> {
        // The sends are complete once the kernel has taken them, so flags about their later completion have no effect.
        // Measured without a difference: coop_taskrun, single_issuer with defer_taskrun, no_sqarray, registered
        // sockets, and writes instead of sends.
        let queues = IoUring::new(SLICE as u32)?;
        let mut probe = Probe::new();
        queues.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // A policy may allow rings and forbid their use.
        queues.submit()?;
        Ok(Self { queues: Some(queues), frame: Vec::new(), sockets: Vec::new(), results: Vec::new() })
    }

    /// Offers `frame` once to each of the first [`SLICE`] sockets and returns, in their order, the number of bytes
    /// accepted.
    ///
    /// The number is zero if the socket has no room or has failed, and if it was not tried: for `None`, beyond the
    /// batch, and after the kernel rejected a batch. A plain send then tells more. The result is `None` if the kernel
    /// took the send of a rejected batch and did not report it.
    pub(super) fn send_all<'a>(
        &mut self,
        frame: &[u8],
        sockets: impl Iterator<Item = Option<BorrowedFd<'a>>>,
    ) -> Results<'_> {
        // Before any send is queued, as the iterator is the caller's code and may panic.
        self.sockets.clear();
        self.sockets.extend(sockets.map(|socket| socket.map(|socket| socket.as_raw_fd())));
        self.results.clear();
        self.results.resize(self.sockets.len(), UNTRIED);
        if let Some(queues) = &mut self.queues {
            self.frame.clear();
            self.frame.extend_from_slice(frame);
            let queued = queue(queues, &self.frame, &self.sockets, &mut self.results);
            if !finish(queues, queued, &mut self.results) {
                self.retire();
            }
        }
        self.results.iter().map(|&result| taken(result))
    }

    /// Whether the kernel has rejected a batch; the ring then sends nothing any more.
    pub(super) fn has_failed(&self) -> bool {
        self.queues.is_none()
    }

    /// Ends the use of the ring. Sends may still be queued or in flight.
    pub(in crate::shell) fn retire(&mut self) {
        self.queues = None;
        // The kernel may read the buffer at any later time, even after the ring was closed.
        std::mem::forget(std::mem::take(&mut self.frame));
    }
}

/// The number of bytes that a send accepted, zero after an error; `None` if it is not known.
fn taken(result: i32) -> Option<usize> {
    (result != UNKNOWN).then(|| usize::try_from(result).unwrap_or(0))
}

/// Queues one send for each socket, and marks it as [`UNKNOWN`] until the kernel reports it. Returns the number of
/// sends.
fn queue(queues: &mut IoUring, frame: &[u8], sockets: &[Option<RawFd>], results: &mut [i32]) -> usize {
    // A longer frame is accepted in part.
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let mut submissions = queues.submission();
    let mut queued = 0;
    for (index, socket) in sockets.iter().enumerate() {
        let Some(socket) = *socket else { continue };
        let send = opcode::Send::new(types::Fd(socket), frame.as_ptr(), length).flags(FLAGS);
        if push(&mut submissions, &send.build().user_data(index as u64)).is_err() {
            break;
        }
        results[index] = UNKNOWN;
        queued += 1;
    }
    queued
}

#[expect(
    unsafe_code,
    reason = "the kernel keeps the address of the frame for as long as the send is in flight"
)]
fn push(submissions: &mut squeue::SubmissionQueue<'_>, send: &squeue::Entry) -> Result<(), PushError> {
    // SAFETY: The only caller passes sends of `Ring::frame`. That buffer outlives them: `Ring::send_all` returns when
    // the kernel has reported all of them, and where that is impossible the buffer is leaked. No code of a caller runs
    // between queuing and that point. The sockets are borrowed until `send_all` returns, so their numbers denote these
    // files when the kernel looks them up. The kernel does so when it takes a send from the queue; a queue that still
    // holds sends is closed unsubmitted.
    unsafe { submissions.push(send) }
}

/// The operations of the kernel that the bookkeeping of a batch needs.
trait Kernel {
    /// Submits the queued sends and waits until `wanted` sends were reported, or fewer.
    fn submit_and_wait(&mut self, wanted: usize) -> io::Result<()>;

    /// Takes one report: the index of a send, and its result.
    fn reap(&mut self) -> Option<(usize, i32)>;

    /// The number of queued sends that the kernel has not taken.
    fn unsubmitted(&mut self) -> usize;
}

impl Kernel for IoUring {
    fn submit_and_wait(&mut self, wanted: usize) -> io::Result<()> {
        IoUring::submit_and_wait(self, wanted).map(drop)
    }

    fn reap(&mut self) -> Option<(usize, i32)> {
        self.completion().next().map(|report| (report.user_data() as usize, report.result()))
    }

    fn unsubmitted(&mut self) -> usize {
        self.submission().len()
    }
}

/// Finishes a batch of `queued` sends. Returns false if the kernel rejects the batch: sends that may be in flight then
/// stay [`UNKNOWN`], and those that the kernel never took become [`UNTRIED`] again.
fn finish(kernel: &mut impl Kernel, queued: usize, results: &mut [i32]) -> bool {
    let mut missing = queued;
    while missing > 0 {
        let submitted = kernel.submit_and_wait(missing);
        let before = missing;
        while let Some((index, result)) = kernel.reap() {
            if let Some(entry) = results.get_mut(index) {
                *entry = result;
            }
            missing = missing.saturating_sub(1);
        }
        let is_stuck = submitted.is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        // A shortage of memory or of room for reports has ended if the kernel has reported a send.
        if is_stuck && missing == before {
            let unsubmitted = kernel.unsubmitted();
            forget_last(unsubmitted, results);
            return false;
        }
    }
    true
}

/// Marks the last `unsubmitted` sends as [`UNTRIED`]: the kernel takes sends in order, so it left the last ones.
fn forget_last(unsubmitted: usize, results: &mut [i32]) {
    let unknown = results.iter_mut().rev().filter(|result| **result == UNKNOWN);
    unknown.take(unsubmitted).for_each(|result| *result = UNTRIED);
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    /// One call of [`Kernel::submit_and_wait`]: the number of sends that it takes, of sends that it reports, and its
    /// error.
    struct Turn(usize, usize, Option<i32>);

    /// A kernel that follows a script. It reports the oldest sends first, as accepted completely.
    struct Scripted {
        turns: VecDeque<Turn>,
        queued: usize,
        submitted: usize,
        reported: usize,
        reports: VecDeque<(usize, i32)>,
    }

    impl Kernel for Scripted {
        fn submit_and_wait(&mut self, wanted: usize) -> io::Result<()> {
            assert_eq!(wanted, self.queued - self.reported, "waits for the missing reports");
            let Turn(takes, reports, error) = self.turns.pop_front().expect("the script has ended");
            self.submitted += takes;
            for _ in 0..reports {
                assert!(self.reported < self.submitted, "a mistake of the script");
                self.reports.push_back((self.reported, WHOLE));
                self.reported += 1;
            }
            error.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
        }

        fn reap(&mut self) -> Option<(usize, i32)> {
            self.reports.pop_front()
        }

        fn unsubmitted(&mut self) -> usize {
            self.queued - self.submitted
        }
    }

    const WHOLE: i32 = 44;

    /// The results of four sends under a script.
    fn four(turns: impl IntoIterator<Item = Turn>) -> (bool, [i32; 4]) {
        let turns = turns.into_iter().collect();
        let mut kernel = Scripted { turns, queued: 4, submitted: 0, reported: 0, reports: VecDeque::new() };
        let mut results = [UNKNOWN; 4];
        let is_whole = finish(&mut kernel, 4, &mut results);
        assert!(kernel.turns.is_empty(), "the batch has ended too early");
        (is_whole, results)
    }

    #[test]
    fn a_batch_may_be_taken_and_reported_in_pieces() {
        assert_eq!(four([Turn(4, 4, None)]), (true, [WHOLE; 4]));
        assert_eq!(four([Turn(1, 0, None), Turn(2, 3, None), Turn(1, 1, None)]), (true, [WHOLE; 4]));
    }

    #[test]
    fn a_batch_continues_after_a_signal() {
        let interrupted = || Turn(0, 0, Some(libc::EINTR));
        assert_eq!(four([interrupted(), interrupted(), Turn(4, 4, None)]), (true, [WHOLE; 4]));
        assert_eq!(four([Turn(4, 1, Some(libc::EINTR)), Turn(0, 3, None)]), (true, [WHOLE; 4]));
    }

    #[test]
    fn a_batch_continues_after_a_shortage_if_the_kernel_reports_sends() {
        let busy = Turn(2, 2, Some(libc::EBUSY));
        assert_eq!(four([busy, Turn(2, 2, None)]), (true, [WHOLE; 4]));
    }

    #[test]
    fn after_a_failure_sends_that_the_kernel_took_are_unknown_and_the_others_untried() {
        assert_eq!(four([Turn(0, 0, Some(libc::EAGAIN))]), (false, [UNTRIED; 4]));
        let [one, more] = [Turn(1, 1, None), Turn(2, 0, Some(libc::EBADR))];
        assert_eq!(four([one, more]), (false, [WHOLE, UNKNOWN, UNKNOWN, UNTRIED]));
    }

    #[test]
    fn only_an_unreported_send_has_no_number_of_bytes() {
        let results = [44, 0, -libc::EPIPE, UNTRIED, UNKNOWN];
        assert_eq!(results.map(taken), [Some(44), Some(0), Some(0), Some(0), None]);
    }

    /// A ring, if this system allows one.
    fn ring() -> Option<Ring> {
        Ring::open().inspect_err(|error| println!("skipped: there is no io_uring: {error}")).ok()
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    fn send_all(ring: &mut Ring, frame: &[u8], sockets: &[Option<&TcpStream>]) -> Vec<Option<usize>> {
        ring.send_all(frame, sockets.iter().map(|socket| socket.map(TcpStream::as_fd))).collect()
    }

    #[test]
    fn each_socket_has_its_own_result() {
        let Some(mut ring) = ring() else { return };
        let ((open, mut reader), (mut full, _idle), (left, gone)) = (pair(), pair(), pair());
        full.set_nonblocking(true).unwrap();
        while full.write(&[0; 4096]).is_ok() {}
        drop(gone);
        // The first send is answered with a reset.
        send_all(&mut ring, b"push", &[Some(&left)]);
        let results = send_all(&mut ring, b"push", &[Some(&full), None, Some(&left), Some(&open)]);
        assert_eq!(results, [Some(0), Some(0), Some(0), Some(4)]);
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"push");
    }

    #[test]
    fn sockets_beyond_a_batch_are_not_tried_and_the_next_batch_works() {
        let Some(mut ring) = ring() else { return };
        let (near, mut far) = pair();
        for _ in 0..10 {
            let results = send_all(&mut ring, b"push", &[Some(&near); SLICE + 2]);
            assert_eq!(results[..SLICE], [Some(4); SLICE]);
            assert_eq!(results[SLICE..], [Some(0); 2]);
            let mut bytes = [0; 4 * SLICE];
            far.read_exact(&mut bytes).unwrap();
            assert!(bytes.chunks(4).all(|frame| frame == b"push"));
        }
        drop(near);
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "nothing else was sent");
    }

    #[test]
    fn a_ring_that_has_failed_sends_nothing_any_more() {
        let Some(mut ring) = ring() else { return };
        let (near, _far) = pair();
        ring.retire();
        assert_eq!(send_all(&mut ring, b"push", &[Some(&near)]), [Some(0)]);
    }
}
