//! Returns memory to the system.

/// A block of at least this size, in bytes, goes back to the system as soon as it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 4 << 10;

/// Makes the allocator return the memory of a burst of large messages; `carillon serve` calls it first.
///
/// glibc allocates blocks of up to 32 MiB in arenas that shrink only from their end, so that one small block behind
/// them keeps them all. The resident memory was measured after 2,000 clients had each sent 60 KB in pieces at the same
/// time. It stays higher by this much per client:
///
/// * with glibc's defaults: 63 KiB;
/// * with mimalloc: 5 to 50 KiB;
/// * with jemalloc: nothing, but only after ten seconds, and the build takes a minute longer;
/// * with large blocks mapped one by one: at most 3 KiB, at once, for a few system calls per large message that
///   arrives in pieces. With a threshold of 16 KiB instead of 4 it was up to 15 KiB, as messages that have just begun
///   are smaller blocks.
///
/// glibc maps at most 65,536 blocks at a time and allocates further ones as by default. Other C libraries are not
/// changed.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "a setting of the C library: it takes two integers and is safe to call from any thread"
    )]
    // SAFETY: no pointers are passed, and glibc takes its own locks.
    unsafe {
        // It only fails on a parameter that it does not know.
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
