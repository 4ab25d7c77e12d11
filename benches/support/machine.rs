//! Figures of the operating system: time, processors, memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Runs `act` and returns the processor time that this thread spent on it, in the kernel and outside.
pub(crate) fn accounted<R>(act: impl FnOnce() -> R) -> (R, Duration) {
    let start = processor_time();
    let result = act();
    (result, processor_time() - start)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("a thread does not spend negative time")
}

/// The processor time so far of the kernel's thread that takes over when there is much to receive on this core; zero
/// if it cannot be seen.
///
/// A loopback send is received at once, on the sender's time, unless that thread was woken. Then the sender's time
/// lacks the thread's time, although no work was saved.
pub(crate) fn softirq_time(core: usize) -> Duration {
    static HELPERS: LazyLock<Vec<(String, PathBuf)>> = LazyLock::new(|| {
        let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let named = |path: PathBuf| Some((fs::read_to_string(path.join("comm")).ok()?, path));
        processes
            .filter_map(|entry| named(entry.path()))
            .filter(|(name, _)| name.starts_with("ksoftirqd"))
            .collect()
    });
    let name = format!("ksoftirqd/{core}\n");
    let helper = HELPERS.iter().find(|(helper, _)| *helper == name);
    let text = helper.and_then(|(_, path)| fs::read_to_string(path.join("schedstat")).ok());
    processor_time_in(&text.unwrap_or_default())
}

/// The monotonic clock, which all processes share.
pub(crate) fn moment() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().expect("it counts from the start of the machine")
}

/// The wall clock, which may be set at any time.
pub(crate) fn wall_time() -> Duration {
    clock_gettime(ClockId::Realtime).try_into().expect("it counts from 1970")
}

/// The processor time that all threads of a process have spent so far, by the kernel's accounting. Waits until all of
/// them are idle.
pub(crate) fn settled_processor_time(process: u32) -> Duration {
    let (mut spent, mut same) = (Duration::MAX, 0);
    while same < CALM {
        thread::sleep(GLANCE);
        let before = std::mem::replace(&mut spent, processor_time_of(process));
        same = if spent == before && !is_running(process) { same + 1 } else { 0 };
    }
    spent
}

/// The number of equal readings after which a process counts as idle.
const CALM: usize = 3;

const GLANCE: Duration = Duration::from_millis(4);

fn processor_time_of(process: u32) -> Duration {
    of_threads(process, "schedstat").map(|stat| processor_time_in(&stat)).sum()
}

/// The first of a thread's scheduling statistics: time on the processor in nanoseconds, time in the queue, turns.
fn processor_time_in(schedstat: &str) -> Duration {
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn is_running(process: u32) -> bool {
    // The state stands behind the name, which is in brackets.
    of_threads(process, "stat").any(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" R")))
}

/// The content of this file of the kernel for each thread of a process. A thread that ends meanwhile is left out.
fn of_threads(process: u32, file: &str) -> impl Iterator<Item = String> {
    let tasks = fs::read_dir(Path::new("/proc").join(process.to_string()).join("task"));
    let tasks = tasks.expect("the process is there").filter_map(Result::ok);
    tasks.filter_map(move |task| fs::read_to_string(task.path().join(file)).ok())
}

/// Keeps this thread on one core. If the machine has too few cores or forbids it, the results only vary more.
pub(crate) fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(error) = sched_setaffinity(None, &cores) {
        eprintln!("not kept on core {core}: {error}");
    }
}

/// The resident memory of a process at the moment, in bytes.
pub(crate) fn resident(process: u32) -> u64 {
    status(process, "VmRSS:")
}

/// The resident memory of a process once it no longer changes, in bytes.
pub(crate) fn settled_resident(process: u32) -> u64 {
    let mut memory = resident(process);
    loop {
        thread::sleep(SETTLED);
        let before = std::mem::replace(&mut memory, resident(process));
        if memory.abs_diff(before) < UNCHANGED {
            return memory;
        }
    }
}

/// Memory is settled when it has not changed for this long.
const SETTLED: Duration = Duration::from_millis(500);

/// The largest change that does not count, in bytes.
const UNCHANGED: u64 = 64 << 10;

/// The peak of this process's resident memory, in bytes.
pub(crate) fn peak_resident() -> u64 {
    status(std::process::id(), "VmHWM:")
}

fn status(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells");
    let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux tells this, too");
    let kib = value.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
    kib.expect("the field is a number of kB") << 10
}
