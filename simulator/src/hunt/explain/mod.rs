//! Why a promise broke: what one client did and saw, what the server did meanwhile, and what was due.
//!
//! | file | subject |
//! |---|---|
//! | `seen.rs` | the lines of a run's trace, read back |
//! | `tale.rs` | messages with both their ends, windows, due instants: what there is to tell |
//! | `text.rs` | told in a terminal |
//! | `picture.rs`, `layout.rs` | drawn as SVG, alone or within HTML |

mod layout;
mod picture;
mod seen;
mod tale;
mod text;

use carillon_server::{Timestamp, WallTime, Zone};

use crate::oracle::score::Violation;
use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::trace::Trace;
use crate::world::Outcome;

use seen::Recorder;
use tale::Tale;

/// The story of a violation. Print it, or draw it with [`Explanation::svg`].
#[derive(Clone, Debug)]
pub struct Explanation {
    violation: Violation,
    tale: Tale,
    /// Whose story it is.
    client: u32,
    zone: Zone,
    wall_origin: WallTime,
    /// The script, for those who look at the picture alone.
    script: String,
    repeat: String,
}

impl Explanation {
    /// Plays a script once more and watches the client to whom the promise broke. `repeat` is the line that plays it.
    ///
    /// `None` if nothing breaks in it.
    pub fn of(script: &Script, repeat: &str, mut play: impl FnMut(Trace) -> Outcome) -> Option<Self> {
        let outcome = play(Trace::default());
        let violation = script.violation_in(&outcome.score).or(outcome.score.violations.first())?.clone();
        let client = violation.client.unwrap_or_else(|| last_to_act(script, &violation));
        let recorder = Recorder::new(client);
        play(recorder.trace());
        let tale = Tale::new(script, &violation, client, &recorder.lines());
        Some(Self {
            violation,
            tale,
            client,
            zone: script.scenario.zone.clone(),
            wall_origin: script.scenario.wall_origin,
            script: script.to_text().unwrap_or_default(),
            repeat: repeat.to_owned(),
        })
    }

    /// What broke.
    pub fn violation(&self) -> &Violation {
        &self.violation
    }

    /// What broke, as a title.
    fn title(&self) -> String {
        let Violation { guarantee, fault, .. } = &self.violation;
        format!("{guarantee} · {}, broken: {}", guarantee.name(), fault.name())
    }

    /// What was promised.
    fn promise(&self) -> String {
        self.violation.guarantee.promise()
    }

    /// What came instead.
    fn verdict(&self) -> String {
        let who = match self.violation.client {
            Some(client) => format!("client {client}"),
            None => format!("the server as a whole; told by client {}", self.client),
        };
        let detail = carillon_server::log::escape(&self.violation.detail).to_string();
        format!("{} ({who}, at {})", detail, seconds(self.violation.at))
    }

    /// What of the tale is shown: from the first line of the text to its last.
    fn shown<T: Clone>(&self, part: impl Fn(&Tale) -> &Vec<T>, at: impl Fn(&T) -> Timestamp) -> Vec<T> {
        let (begin, end) = self.span();
        part(&self.tale).iter().filter(|one| (begin..=end).contains(&at(one))).cloned().collect()
    }

    /// The wall clock of the server, as it would be if it had never been set.
    fn wall(&self, at: Timestamp) -> String {
        let wall = self.wall_origin.after(at.since(Timestamp::ZERO));
        self.zone.format(wall)[11..].to_owned()
    }
}

/// The client that acted last before a promise broke that concerns no single client.
fn last_to_act(script: &Script, violation: &Violation) -> u32 {
    let before = script.lines.iter().take_while(|line| line.at() <= violation.at);
    before.filter_map(ScriptLine::client).last().unwrap_or_default()
}

/// Virtual time, to the millisecond.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_nanos() / 1_000_000;
    format!("{}.{:03}s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests;
