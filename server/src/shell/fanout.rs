//! The ways in which one frame reaches many sockets, and the choice between them.

use std::io;

use crate::shell::uring::{BATCH, Ring};

/// What a server is told about its fan-out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FanoutChoice {
    /// Through an io_uring where the system allows it, else one write after the other
    #[default]
    Auto,
    /// One write after the other
    Portable,
    /// Through an io_uring: one system call for up to 256 sends
    #[cfg(target_os = "linux")]
    Uring,
}

/// How one shard writes one frame to many sockets.
pub struct Fanout(pub(super) Way);

pub(super) enum Way {
    Portable,
    Uring(Box<Ring>),
}

impl Fanout {
    /// One write after the other, which works on every system and every kind of stream.
    pub fn portable() -> Self {
        Self(Way::Portable)
    }

    /// Batches of non-blocking sends through an io_uring. Streams that are no sockets are written to as ever.
    ///
    /// # Errors
    ///
    /// The system has no io_uring (`ENOSYS`), a policy such as a seccomp profile forbids it (`EPERM`), or memory or
    /// files are short. [`Fanout::portable`] always works.
    pub fn uring() -> io::Result<Self> {
        Ring::open().map(|ring| Self(Way::Uring(Box::new(ring))))
    }
}

impl FanoutChoice {
    /// One fan-out for each shard, all of the same kind, and a sentence that says which.
    ///
    /// # Errors
    ///
    /// The system refuses the io_uring that was asked for.
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
            return Ok((portable(), "Fan-out by plain writes".to_owned()));
        }
        match std::iter::repeat_with(uring).take(shards).collect() {
            Ok(rings) => {
                Ok((rings, format!("Fan-out through io_uring, up to {BATCH} sends in one system call")))
            }
            Err(error) if self == Self::Auto => {
                Ok((portable(), format!("Fan-out by plain writes, as there is no io_uring: {error}")))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// A system that has no ring for the shard of this index.
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
                assert_eq!(sentence, format!("Fan-out by plain writes, as there is no io_uring: {why}"));
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_choice_that_cannot_be_had_is_an_error() {
        for errno in [Errno::NOSYS, Errno::PERM, Errno::NOMEM] {
            let error = FanoutChoice::Uring.open_with(3, refuses(errno, 2)).err().unwrap();
            assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
        }
    }

    #[test]
    fn portable_asks_the_system_for_nothing() {
        let (fanouts, sentence) = FanoutChoice::Portable.open_with(2, || panic!("it was asked")).unwrap();
        assert_eq!((fanouts.len(), sentence.as_str()), (2, "Fan-out by plain writes"));
    }
}
