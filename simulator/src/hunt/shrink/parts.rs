//! Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 2002): removes
//! halves, then quarters, down to single parts, as long as the guarantee breaks without them.

use std::collections::BTreeMap;

use super::search::Search;
use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::script::verb::Verb;

/// Removes clients, except the one for which the guarantee broke first.
pub(super) fn clients(search: &mut Search<'_>) {
    let victim = search.violation.client;
    let mut others = search.best.clients();
    others.retain(|client| Some(*client) != victim);
    minimise(search, &others, |script, kept| {
        let is_kept = |client| Some(client) == victim || kept.contains(&client);
        script.lines.retain(|line| line.client().is_none_or(is_kept));
    });
}

/// Removes events of the server, such as pauses and restarts.
pub(super) fn server_verbs(search: &mut Search<'_>) {
    let is_server = |line: &ScriptLine| line.client().is_none();
    let verbs: Vec<usize> = indices(&search.best, |line| is_server(line));
    minimise(search, &verbs, |script, kept| {
        retain_lines(script, |index, line| !is_server(line) || kept.contains(&index));
    });
}

/// Removes connections, each with all its lines.
pub(super) fn connections(search: &mut Search<'_>) {
    let owners = owners(&search.best);
    let mut all: Vec<(u32, u32)> = owners.iter().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    minimise(search, &all, |script, kept| {
        retain_lines(script, |index, _| owners[index].is_none_or(|owner| kept.contains(&owner)));
    });
}

/// Removes single lines.
pub(super) fn lines(search: &mut Search<'_>) {
    let all = indices(&search.best, |_| true);
    minimise(search, &all, |script, kept| {
        retain_lines(script, |index, _| kept.binary_search(&index).is_ok());
    });
}

/// Removes single utterances from a client's write.
pub(super) fn utterances(search: &mut Search<'_>) {
    for index in 0..search.best.lines.len() {
        let Some(ScriptLine::Client { verb: Verb::Say(said), .. }) = search.best.lines.get(index) else {
            continue;
        };
        let said = said.clone();
        let places: Vec<usize> = (0..said.len()).collect();
        minimise(search, &places, |script, kept| {
            if let Some(ScriptLine::Client { verb: Verb::Say(utterances), .. }) = script.lines.get_mut(index)
                && !kept.is_empty()
            {
                *utterances = kept.iter().map(|place| said[*place]).collect();
            }
        });
    }
}

/// Removes as many parts as possible. `keep` reduces a copy of the current script to the given parts.
fn minimise<P: Copy>(search: &mut Search<'_>, parts: &[P], keep: impl Fn(&mut Script, &[P])) {
    let base = search.best.clone();
    let mut attempt = |kept: &[P]| {
        let mut candidate = base.clone();
        keep(&mut candidate, kept);
        search.attempt(candidate)
    };
    if parts.is_empty() || attempt(&[]) {
        return;
    }
    let mut kept = parts.to_vec();
    let mut chunk = kept.len().div_ceil(2);
    loop {
        let has_shrunk = leave_out_chunks(&mut kept, chunk, &mut attempt);
        if chunk == 1 && !has_shrunk {
            return;
        }
        chunk = if chunk == 1 { 1 } else { chunk.div_ceil(2).min(kept.len().max(1)) };
    }
}

/// Removes each chunk of this size that is not needed. Returns whether it removed any.
fn leave_out_chunks<P: Copy>(
    kept: &mut Vec<P>,
    chunk: usize,
    attempt: &mut impl FnMut(&[P]) -> bool,
) -> bool {
    let before = kept.len();
    let mut start = 0;
    while start < kept.len() && kept.len() > 1 {
        let end = (start + chunk).min(kept.len());
        let rest = [&kept[..start], &kept[end..]].concat();
        if attempt(&rest) {
            *kept = rest;
        } else {
            start = end;
        }
    }
    kept.len() < before
}

fn indices(script: &Script, is_wanted: impl Fn(&ScriptLine) -> bool) -> Vec<usize> {
    let lines = script.lines.iter().enumerate();
    lines.filter(|(_, line)| is_wanted(line)).map(|(index, _)| index).collect()
}

fn retain_lines(script: &mut Script, is_kept: impl Fn(usize, &ScriptLine) -> bool) {
    let lines = std::mem::take(&mut script.lines).into_iter().enumerate();
    script.lines = lines.filter(|(index, line)| is_kept(*index, line)).map(|(_, line)| line).collect();
}

/// The client of each line, and the number of its connection.
fn owners(script: &Script) -> Vec<Option<(u32, u32)>> {
    let mut connections: BTreeMap<u32, u32> = BTreeMap::new();
    let owner = |line: &ScriptLine| {
        let ScriptLine::Client { client, verb, .. } = line else { return None };
        let number = connections.entry(*client).or_default();
        *number += u32::from(matches!(verb, Verb::Connect(_)));
        Some((*client, *number))
    };
    script.lines.iter().map(owner).collect()
}
