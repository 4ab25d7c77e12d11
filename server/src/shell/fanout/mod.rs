//! The ways in which one frame reaches many sockets, and the choice between them.

#[cfg_attr(not(target_os = "linux"), path = "no_uring.rs")]
pub(super) mod uring;

use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::SendFlags;

use crate::hub::SLICE;

use uring::Ring;

/// A send that finds no room fails at once.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(NO_SIGNAL);

/// A send to a client that has left returns an error instead of raising a signal.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
/// Rust programs ignore that signal anyway.
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

/// The way in which a server writes a push to its subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum FanoutChoice {
    /// Through an io_uring where the system allows it, else one send after the other
    #[default]
    Auto,
    /// One send after the other
    Portable,
    /// Through an io_uring: one system call for up to 256 sends
    #[cfg(target_os = "linux")]
    Uring,
}

/// Writes one frame to many sockets of one shard.
pub struct Fanout(pub(super) Way);

pub(super) enum Way {
    Portable,
    Uring(Box<Ring>),
}

impl Fanout {
    /// One plain send after the other, which works on every system. A stream without a socket gets a plain write.
    pub fn portable() -> Self {
        Self(Way::Portable)
    }

    /// Batches of non-blocking sends through an io_uring. A stream without a socket gets a plain write.
    ///
    /// # Errors
    ///
    /// The system has no io_uring (`ENOSYS`), a policy such as a seccomp profile forbids it (`EPERM`), or memory or
    /// files are short. [`Fanout::portable`] always works.
    pub fn uring() -> io::Result<Self> {
        Ring::open().map(|ring| Self(Way::Uring(Box::new(ring))))
    }

    /// Offers `frame` once to each of the first [`SLICE`] sockets, bypassing their streams, and stores in `sent`, in
    /// the order of the sockets, the number of bytes accepted.
    ///
    /// The number is zero if the socket has no room or has failed, and if it was not tried, as for `None`. The stream
    /// then tells more. The entry is `None` if the number is not known.
    pub(super) fn send_all<'a>(
        &mut self,
        frame: &[u8],
        sockets: impl Iterator<Item = Option<BorrowedFd<'a>>>,
        sent: &mut Vec<Option<usize>>,
    ) {
        sent.clear();
        match &mut self.0 {
            Way::Portable => send_each(frame, sockets, sent),
            Way::Uring(ring) => sent.extend(ring.send_all(frame, sockets)),
        }
    }

    /// Whether the fan-out has failed: it sends nothing any more and must be replaced.
    pub(super) fn has_failed(&self) -> bool {
        matches!(&self.0, Way::Uring(ring) if ring.has_failed())
    }
}

/// Sends directly to the sockets. A stream of tokio would first check its own readiness, and `write` would go through
/// the file system: a delivery would cost a tenth more (`cargo bench --bench fanout_tcp`).
fn send_each<'a>(
    frame: &[u8],
    sockets: impl Iterator<Item = Option<BorrowedFd<'a>>>,
    sent: &mut Vec<Option<usize>>,
) {
    // All sockets are looked up before the first send, because each send evicts data from the processor's caches.
    let mut batch = [None; SLICE];
    let count = batch.iter_mut().zip(sockets).map(|(place, socket)| *place = socket).count();
    let send = |socket| rustix::net::send(socket, frame, FLAGS).unwrap_or(0);
    sent.extend(batch[..count].iter().map(|socket| Some(socket.map_or(0, send))));
}

impl FanoutChoice {
    /// One fan-out for each shard, all of the same kind, and a sentence for the log that names the kind.
    ///
    /// # Errors
    ///
    /// The choice demands an io_uring, and the system refuses it.
    pub(super) fn open(self, shards: usize) -> io::Result<(Vec<Fanout>, String)> {
        self.open_with(shards, Fanout::uring)
    }

    fn open_with(
        self,
        shards: usize,
        uring: impl FnMut() -> io::Result<Fanout>,
    ) -> io::Result<(Vec<Fanout>, String)> {
        let portable = || (0..shards).map(|_| Fanout::portable()).collect();
        if self == Self::Portable {
            return Ok((portable(), "Fan-out by plain sends".to_owned()));
        }
        match std::iter::repeat_with(uring).take(shards).collect() {
            Ok(rings) => {
                Ok((rings, format!("Fan-out through io_uring, up to {SLICE} sends in one system call")))
            }
            Err(error) if self == Self::Auto => {
                Ok((portable(), format!("Fan-out by plain sends, as there is no io_uring: {error}")))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// A system that refuses the ring for the shard of this index.
    fn refuses(errno: Errno, index: usize) -> impl FnMut() -> io::Result<Fanout> {
        let mut asked = 0;
        move || {
            asked += 1;
            if asked <= index { Ok(Fanout::portable()) } else { Err(errno.into()) }
        }
    }

    #[test]
    fn auto_falls_back_for_all_shards_and_says_why() {
        for errno in [Errno::NOSYS, Errno::PERM, Errno::NOMEM] {
            for index in 0..3 {
                let (fanouts, sentence) = FanoutChoice::Auto.open_with(3, refuses(errno, index)).unwrap();
                assert_eq!(fanouts.len(), 3);
                assert!(fanouts.iter().all(|fanout| matches!(fanout.0, Way::Portable)));
                let why = io::Error::from(errno);
                assert_eq!(sentence, format!("Fan-out by plain sends, as there is no io_uring: {why}"));
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_io_uring_that_the_system_refuses_is_an_error() {
        for errno in [Errno::NOSYS, Errno::PERM, Errno::NOMEM] {
            let error = FanoutChoice::Uring.open_with(3, refuses(errno, 2)).err().unwrap();
            assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
        }
    }

    #[test]
    fn portable_asks_for_no_io_uring() {
        let (fanouts, sentence) = FanoutChoice::Portable.open_with(2, || panic!("asked for a ring")).unwrap();
        assert_eq!((fanouts.len(), sentence.as_str()), (2, "Fan-out by plain sends"));
    }
}
