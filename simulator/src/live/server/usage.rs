//! Memory and processor time of a process on this machine, as Linux reports them.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};

/// The resources that a process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Resident memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// Processor time of all its threads since its start, in seconds.
    pub(crate) cpu_seconds: f64,
}

/// The usage of a process now; `None` if the process is gone, or the system has no `/proc`.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let pages: u64 =
        fs::read_to_string(format!("/proc/{pid}/statm")).ok()?.split(' ').nth(1)?.parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which is in parentheses and may contain anything, user and system time are the 12th and 13th
    // field.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap_or(0)).sum();
    let cpu_seconds = ticks as f64 / clock_ticks_per_second() as f64;
    Some(Usage { memory_bytes: pages * page_size() as u64, cpu_seconds })
}

/// The resident memory of these processes together, in bytes; `None` if none of them exists. Memory that they share
/// counts several times, so only differences say something.
pub(crate) fn memory_of(pids: &[u32]) -> Option<u64> {
    let known: Vec<u64> = pids.iter().filter_map(|pid| Some(usage(*pid)?.memory_bytes)).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_process_has_a_usage_and_a_missing_one_has_none() {
        let own = usage(std::process::id()).unwrap();
        assert!(own.memory_bytes > 1 << 20 && own.cpu_seconds >= 0.0, "{own:?}");
        assert_eq!(usage(u32::MAX), None);
        assert!(memory_of(&[std::process::id(), u32::MAX]).unwrap() > 1 << 20);
        assert_eq!(memory_of(&[u32::MAX]), None);
    }
}
