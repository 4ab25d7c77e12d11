//! Gives memory back to the system.

/// From this size on, in bytes, a block of memory goes back to the system as soon as it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 4 << 10;

/// Makes the allocator return what a burst of large messages needed; `carillon serve` begins with it.
///
/// glibc cuts blocks of up to 32 MiB out of arenas that shrink from their end only, so that one small block behind them
/// keeps them all. Measured in resident memory after 2,000 clients had each sent 60 KB in pieces at the same time: as it
/// comes, 63 KiB more per client for good; with mimalloc 5 to 50; with jemalloc nothing, but after ten seconds, and a
/// minute more to build; with large blocks mapped one by one at most 3, at once, for a few system calls per large message
/// that arrives in pieces. Only 65,536 blocks are mapped at a time; beyond that it is as it comes. At 16 KiB instead of 4 it was up to 15, as messages that have just begun are smaller blocks.
/// Other C libraries are left as they are.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "the C library's own knob: it takes two integers and is safe to call from any thread"
    )]
    // SAFETY: no pointers are passed, and glibc takes its own locks.
    unsafe {
        // It only fails on a parameter that it does not know.
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
