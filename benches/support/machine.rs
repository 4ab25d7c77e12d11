//! What the operating system knows: time, processors, memory.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Runs `act` and says how much processor time this thread spent on it, in the kernel and outside.
pub(crate) fn accounted<R>(act: impl FnOnce() -> R) -> (R, Duration) {
    let start = processor_time();
    let result = act();
    (result, processor_time() - start)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("a thread does not spend negative time")
}

/// Processor time so far of the kernel's thread that takes over when there is much to receive on the first core; zero
/// where it cannot be seen.
///
/// A loopback send is received at once, by whoever sends, unless that thread has been woken: then its time is missing
/// from the sender's, though nothing was saved.
pub(crate) fn softirq_time() -> Duration {
    static STATISTICS: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let is_it = |path: &PathBuf| fs::read(path.join("comm")).is_ok_and(|name| name == b"ksoftirqd/0\n");
        processes.into_iter().find(is_it).map(|path| path.join("schedstat"))
    });
    let text = STATISTICS.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Keeps this thread on one core; where the machine has too few or forbids it, results are merely less even.
pub(crate) fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(error) = sched_setaffinity(None, &cores) {
        eprintln!("not kept on core {core}: {error}");
    }
}

/// Resident memory of a process at the moment, in bytes.
pub(crate) fn resident(process: u32) -> u64 {
    status(process, "VmRSS:")
}

/// The most that this process ever had resident, in bytes.
pub(crate) fn peak_resident() -> u64 {
    status(std::process::id(), "VmHWM:")
}

fn status(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells");
    let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux tells this, too");
    let kib = value.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
    kib.expect("the field is a number of kB") << 10
}
