//! Why a guarantee broke: what one client did and saw, what the server did at the same time, and which pushes were
//! due.
//!
//! | file | subject |
//! |---|---|
//! | `trace_lines.rs` | the lines of a run's trace, parsed |
//! | `timeline.rs` | messages with both their ends, windows, due instants |
//! | `text.rs` | the explanation as text for a terminal |
//! | `picture.rs`, `layout.rs` | the explanation as SVG, alone or within HTML |

mod layout;
mod picture;
mod text;
mod timeline;
mod trace_lines;

use carillon_server::{Timestamp, WallTime, Zone};

use crate::oracle::score::Violation;
use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::trace::Trace;
use crate::world::Outcome;

use timeline::Timeline;
use trace_lines::Recorder;

/// The explanation of a violation. Print it with `Display`, or draw it with [`Explanation::svg`].
#[derive(Clone, Debug)]
pub struct Explanation {
    violation: Violation,
    timeline: Timeline,
    /// The client whose side is shown.
    client: u32,
    zone: Zone,
    wall_origin: WallTime,
    /// The script, shown below the picture.
    script: String,
    repeat: String,
}

impl Explanation {
    /// Plays `script` with `play` twice: once to find the violation, and once to trace the client for which the
    /// guarantee broke. `repeat` is the command line that plays the script; it is printed below the picture.
    ///
    /// Returns `None` if no guarantee breaks in the script.
    pub fn of(script: &Script, repeat: &str, mut play: impl FnMut(Trace) -> Outcome) -> Option<Self> {
        let outcome = play(Trace::default());
        let violation = script.violation_in(&outcome.score).or(outcome.score.violations.first())?.clone();
        let client = violation.client.unwrap_or_else(|| last_to_act(script, &violation));
        let recorder = Recorder::new(client);
        play(recorder.trace());
        let timeline = Timeline::new(script, &violation, client, &recorder.lines());
        Some(Self {
            violation,
            timeline,
            client,
            zone: script.scenario.zone.clone(),
            wall_origin: script.scenario.wall_origin,
            script: script.to_text().unwrap_or_default(),
            repeat: repeat.to_owned(),
        })
    }

    /// The violation that is explained.
    pub fn violation(&self) -> &Violation {
        &self.violation
    }

    /// The guarantee and the fault, as a title.
    fn title(&self) -> String {
        let Violation { guarantee, fault, .. } = &self.violation;
        format!("{guarantee} · {}, broken: {}", guarantee.name(), fault.name())
    }

    /// The text of the guarantee.
    fn promise(&self) -> String {
        self.violation.guarantee.promise()
    }

    /// Event was observed, for which client, and when.
    fn verdict(&self) -> String {
        let subject = match self.violation.client {
            Some(client) => format!("client {client}"),
            None => format!("the server as a whole; seen by client {}", self.client),
        };
        let detail = carillon_server::log::escape(&self.violation.detail).to_string();
        format!("{} ({subject}, at {})", detail, seconds(self.violation.at))
    }

    /// The entries of the timeline between the first and the last line of the text.
    fn shown<T: Clone>(&self, part: impl Fn(&Timeline) -> &Vec<T>, at: impl Fn(&T) -> Timestamp) -> Vec<T> {
        let (begin, end) = self.span();
        part(&self.timeline).iter().filter(|one| (begin..=end).contains(&at(one))).cloned().collect()
    }

    /// The wall clock time of the server, if its clock had never been set.
    fn wall(&self, at: Timestamp) -> String {
        let wall = self.wall_origin.after(at.since(Timestamp::ZERO));
        self.zone.format(wall)[11..].to_owned()
    }
}

/// The client that acted last before `violation`, for a violation that concerns no single client.
fn last_to_act(script: &Script, violation: &Violation) -> u32 {
    let before = script.lines.iter().take_while(|line| line.at() <= violation.at);
    before.filter_map(ScriptLine::client).last().unwrap_or_default()
}

/// Virtual time in seconds, to the millisecond.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_nanos() / 1_000_000;
    format!("{}.{:03}s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests;
