//! Less time: idle periods are removed, and the shutdown comes earlier.

use std::time::Duration;

use carillon_server::Timestamp;

use super::search::Search;
use crate::script::Script;

/// Lets the server shut down earlier, if the guarantee breaks in the shutdown: after one period, two, four, and so
/// on.
pub(super) fn drain_earlier(search: &mut Search<'_>) {
    if !search.breaks_in_drain() {
        return;
    }
    let mut end = search.best.scenario.server.period;
    while end < search.best.scenario.duration {
        let mut candidate = search.best.clone();
        candidate.end_at(end);
        if search.attempt_whole(candidate) {
            return;
        }
        end *= 2;
    }
}

/// Removes idle time before each line and before the end, in whole periods, so that each line keeps its distance
/// from the due instants.
pub(super) fn skip_idle(search: &mut Search<'_>) {
    let mut index = 0;
    while index <= search.best.lines.len() {
        let gap = gap_before(&search.best, index);
        let mut cycles = (gap.as_nanos() / search.best.scenario.server.period.as_nanos()) as u32;
        while cycles > 0 && !search.is_stopped {
            let earlier = moved_earlier(&search.best, index, cycles);
            // The wall clock time may matter, such as a change to daylight saving time.
            if search.attempt_whole(with_wall_kept(earlier.clone(), cycles)) || search.attempt_whole(earlier)
            {
                break;
            }
            cycles /= 2;
        }
        index += 1;
    }
}

/// The idle time before a line, or before the end.
fn gap_before(script: &Script, index: usize) -> Duration {
    let end = Timestamp::ZERO + script.scenario.duration;
    let at = script.lines.get(index).map_or(end, |line| line.at());
    let before = index.checked_sub(1).map_or(Timestamp::ZERO, |before| script.lines[before].at());
    at.since(before)
}

/// A copy in which this line and all later ones happen this many cycles earlier.
fn moved_earlier(script: &Script, index: usize, cycles: u32) -> Script {
    let mut script = script.clone();
    let span = script.scenario.server.period * cycles;
    for line in script.lines.iter_mut().skip(index) {
        line.set_at(Timestamp::ZERO + line.at().since(Timestamp::ZERO + span));
    }
    script.scenario.duration =
        script.scenario.duration.saturating_sub(span).max(script.scenario.server.period);
    script
}

fn with_wall_kept(mut script: Script, cycles: u32) -> Script {
    let span = script.scenario.server.period * cycles;
    script.scenario.wall_origin = script.scenario.wall_origin.after(span);
    script
}
