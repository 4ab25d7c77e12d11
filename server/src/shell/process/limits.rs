//! The limit of open files, and the number of connections that it allows.

use std::io;
use std::num::NonZeroUsize;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are not connections of clients: standard streams, listener, signals, and the runtime that accepts. 10
/// were counted.
const OWN_FILES: u64 = 16;

/// Such files for each shard: epoll twice, wake-ups, signals, io_uring. 5 were counted.
const FILES_OF_A_SHARD: u64 = 6;

/// The number of clients beyond the limit that get the answer 503 at the same time; further ones are dropped
/// unanswered.
pub(in crate::shell) const MOST_REFUSED: usize = 256;

/// The most files that the process may have open; `u64::MAX` where there is no limit.
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit of open files to the hard one and returns it.
///
/// # Errors
///
/// The system refuses; the limit is then unchanged.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(open_files())
}

/// The number of connections that a process with this limit of open files can hold, besides the files that it needs
/// itself. At least 1.
pub fn capacity(open_files: u64, shards: NonZeroUsize) -> usize {
    let own = OWN_FILES + FILES_OF_A_SHARD * shards.get() as u64;
    let refused = (MOST_REFUSED as u64).min(open_files / 4);
    usize::try_from(open_files.saturating_sub(own + refused)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_reserved_for_refusals_and_for_the_process_itself() {
        let [one, eight] = [1, 8].map(|shards| NonZeroUsize::new(shards).unwrap());
        assert_eq!(capacity(20_000, one), 20_000 - 22 - 256);
        assert_eq!(capacity(20_000, eight), 20_000 - 64 - 256);
        assert_eq!(capacity(128, eight), 128 - 64 - 32, "a quarter of a small limit for refusals");
        assert_eq!(capacity(0, one), 1);
    }
}
