//! Simple values, as a person would write them: round times, a link without faults, the server's defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::{Config, Timestamp, Zone};

use super::search::Search;
use crate::network::link::LinkPlan;
use crate::network::link::Reading;
use crate::scenario::Scenario;
use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::script::verb::{ServerVerb, Utterance, Verb};
use crate::wire::text::Text;

/// The latency of a simple link.
const LATENCY: Duration = Duration::from_millis(10);

const SECOND: Duration = Duration::from_secs(1);

/// The units that times are rounded to, coarsest first.
const GRAINS: [Duration; 6] = [
    Duration::from_secs(60),
    Duration::from_secs(10),
    SECOND,
    Duration::from_millis(100),
    Duration::from_millis(10),
    Duration::from_millis(1),
];

/// Renumbers the clients from 0, in order of appearance.
pub(super) fn renumber(search: &mut Search<'_>) {
    search.attempt_change(|script| {
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        for line in &mut script.lines {
            if let ScriptLine::Client { client, .. } = line {
                let next = numbers.len() as u32;
                *client = *numbers.entry(*client).or_insert(next);
            }
        }
        script.scenario.clients = numbers.len().max(1) as u32;
    });
}

/// Tries simple values everywhere.
pub(super) fn simplify(search: &mut Search<'_>) {
    renumber(search);
    links(search);
    scenario(search);
    for index in 0..search.best.lines.len() {
        verb(search, index);
    }
    times(search);
    search.attempt_change(number_texts);
}

fn links(search: &mut Search<'_>) {
    let plain = LinkPlan { latency: LATENCY, jitter: Duration::ZERO, sliced: 0, window: None, seed: 0 };
    let changes: [fn(&mut LinkPlan); 5] = [
        |plan| plan.window = None,
        |plan| plan.sliced = 0,
        |plan| plan.jitter = Duration::ZERO,
        |plan| plan.latency = LATENCY,
        |plan| plan.seed = 0,
    ];
    if each_link(search, &|plan| *plan = plain) {
        return;
    }
    for change in changes {
        each_link(search, &change);
    }
    for grain in [Duration::from_millis(1), LATENCY] {
        each_link(search, &|plan| plan.latency = round_up(plan.latency, grain));
        each_link(search, &|plan| plan.jitter = round_up(plan.jitter, grain));
    }
}

/// Changes all links at once, or else each link on its own. Returns whether the change of all links succeeded.
fn each_link(search: &mut Search<'_>, change: &dyn Fn(&mut LinkPlan)) -> bool {
    let is_all = search.attempt_change(|script| script.lines.iter_mut().filter_map(plan_of).for_each(change));
    for index in (0..search.best.lines.len()).filter(|_| !is_all) {
        search.attempt_change(|script| {
            script.lines.get_mut(index).and_then(plan_of).into_iter().for_each(change);
        });
    }
    is_all
}

fn plan_of(line: &mut ScriptLine) -> Option<&mut LinkPlan> {
    match line {
        ScriptLine::Client { verb: Verb::Connect(plan), .. } => Some(plan),
        _ => None,
    }
}

/// Tries the scenario of an empty file, as far as possible.
fn scenario(search: &mut Search<'_>) {
    let (name, period) = (search.best.scenario.name.clone(), search.best.scenario.server.period);
    let server = Config { period, ..Config::default() };
    let quiet = Scenario { shards: 1, zone: Zone::UTC, ..Scenario::quiet(&name, 1, period, server) };
    search.attempt_change(|script| {
        let old = script.scenario.clone();
        script.scenario = Scenario { clients: old.clients, duration: old.duration, ..quiet.clone() };
    });
    let changes: [fn(&mut Scenario, &Scenario); 11] = [
        |scenario, quiet| {
            (scenario.population, scenario.app) = (quiet.population.clone(), quiet.app.clone());
            scenario.faults = quiet.faults.clone();
        },
        |scenario, quiet| scenario.server = quiet.server.clone(),
        |scenario, quiet| scenario.server.max_message = quiet.server.max_message,
        |scenario, quiet| scenario.server.outbox_limit = quiet.server.outbox_limit,
        |scenario, quiet| scenario.server.handshake_timeout = quiet.server.handshake_timeout,
        |scenario, quiet| scenario.server.ping_interval = quiet.server.ping_interval,
        |scenario, quiet| scenario.server.close_timeout = quiet.server.close_timeout,
        |scenario, quiet| scenario.links = quiet.links.clone(),
        |scenario, quiet| scenario.wall_origin = quiet.wall_origin,
        |scenario, quiet| scenario.zone = quiet.zone.clone(),
        |scenario, quiet| scenario.shards = quiet.shards,
    ];
    for change in changes {
        search.attempt_change(|script| change(&mut script.scenario, &quiet));
    }
}

fn verb(search: &mut Search<'_>, index: usize) {
    match search.best.lines.get(index).cloned() {
        Some(ScriptLine::Server { verb: ServerVerb::Pause(span), .. }) => {
            for grain in &GRAINS[..4] {
                let verb = ServerVerb::Pause(round_up(span, *grain));
                if set_server_verb(search, index, verb) {
                    return;
                }
            }
        }
        Some(ScriptLine::Server { verb: ServerVerb::SetClock(shift), .. }) => {
            for size in [3600, 600, 60] {
                if set_server_verb(search, index, ServerVerb::SetClock(shift.signum() * size)) {
                    return;
                }
            }
        }
        Some(ScriptLine::Client { verb: Verb::Read(Reading::Slowly(_)), .. }) => {
            set_verb(search, index, Verb::Read(Reading::Never));
        }
        Some(ScriptLine::Client { verb: Verb::Say(said), .. }) => {
            for place in 0..said.len() {
                utterance(search, index, place);
            }
        }
        _ => {}
    }
}

/// Tries simpler utterances in the place of one.
fn utterance(search: &mut Search<'_>, index: usize, place: usize) {
    let Some(ScriptLine::Client { verb: Verb::Say(said), .. }) = search.best.lines.get(index) else { return };
    let simpler: Vec<Utterance> = match said[place] {
        Utterance::Fragmented(Text::Probe { number, .. }, pieces) => vec![
            Utterance::Text(Text::Fence(number)),
            Utterance::Fragmented(Text::Fence(number), 2),
            Utterance::Fragmented(Text::Probe { number, length: 32 }, 2),
            Utterance::Fragmented(Text::Probe { number, length: 32 }, pieces),
        ],
        Utterance::Fragmented(text, _) => vec![Utterance::Text(text), Utterance::Fragmented(text, 2)],
        Utterance::Text(Text::Probe { number, .. }) => {
            let probes = [32, 1024].map(|length| Utterance::Text(Text::Probe { number, length }));
            [vec![Utterance::Text(Text::Fence(number))], probes.to_vec()].concat()
        }
        _ => return,
    };
    for utterance in simpler {
        let Some(ScriptLine::Client { verb: Verb::Say(said), .. }) = search.best.lines.get(index) else {
            return;
        };
        let mut said = said.clone();
        said[place] = utterance;
        if set_verb(search, index, Verb::Say(said)) {
            return;
        }
    }
}

fn set_verb(search: &mut Search<'_>, index: usize, wanted: Verb) -> bool {
    search.attempt_change(|script| {
        if let Some(ScriptLine::Client { verb, .. }) = script.lines.get_mut(index) {
            *verb = wanted;
        }
    })
}

fn set_server_verb(search: &mut Search<'_>, index: usize, wanted: ServerVerb) -> bool {
    search.attempt_change(|script| {
        if let Some(ScriptLine::Server { verb, .. }) = script.lines.get_mut(index) {
            *verb = wanted;
        }
    })
}

/// Rounds all times to one unit, or else each time as coarsely as possible.
fn times(search: &mut Search<'_>) {
    for grain in GRAINS {
        let round_all = |script: &mut Script| script.lines.iter_mut().for_each(|line| round(line, grain));
        if search.attempt_change(round_all) {
            break;
        }
    }
    for index in 0..search.best.lines.len() {
        for grain in GRAINS {
            let round_one = |script: &mut Script| {
                script.lines.get_mut(index).into_iter().for_each(|line| round(line, grain));
                script.lines.sort_by_key(ScriptLine::at);
            };
            let is_round = search.best.lines.get(index).is_none_or(|line| is_round(line.at(), grain));
            if is_round || search.attempt_change(round_one) {
                break;
            }
        }
    }
}

/// Rounds the time of a line. A connect moves to an earlier time and any other line to a later one, so that the
/// connection is still open.
fn round(line: &mut ScriptLine, grain: Duration) {
    let at = line.at().since(Timestamp::ZERO);
    let is_connect = matches!(line, ScriptLine::Client { verb: Verb::Connect(_), .. });
    let rounded = if is_connect { round_up(at, grain).saturating_sub(grain) } else { round_up(at, grain) };
    if !is_round(line.at(), grain) {
        line.set_at(Timestamp::ZERO + rounded);
    }
}

fn is_round(at: Timestamp, grain: Duration) -> bool {
    at.as_nanos().is_multiple_of(grain.as_nanos() as u64)
}

fn round_up(span: Duration, grain: Duration) -> Duration {
    Duration::from_nanos((span.as_nanos() as u64).next_multiple_of(grain.as_nanos() as u64))
}

/// Numbers fences, pings and probes from 1.
fn number_texts(script: &mut Script) {
    let mut last: BTreeMap<u32, u32> = BTreeMap::new();
    for line in &mut script.lines {
        let ScriptLine::Client { client, verb: Verb::Say(said), .. } = line else { continue };
        let last = last.entry(*client).or_default();
        for utterance in said {
            let number = match utterance {
                Utterance::Ping(number) => number,
                Utterance::Text(text) | Utterance::Fragmented(text, _) => match text {
                    Text::Fence(number) | Text::Probe { number, .. } => number,
                    _ => continue,
                },
                Utterance::Binary | Utterance::Pong => continue,
            };
            *last += 1;
            *number = *last;
        }
    }
}
