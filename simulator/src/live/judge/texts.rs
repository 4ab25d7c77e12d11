//! Judges the texts of pushes: the pattern and the stated instant (G6), which must not be earlier than the last one
//! (G5).

use carillon_server::{Timestamp, WallTime};

use super::facts::Backwards;
use super::{Judge, LiveConnection, Observation};
use crate::dialect::Stated;
use crate::live::clock::stamps::Conclusion;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

impl Judge {
    /// Whether the same text was already judged right for another client in the same cycle.
    pub(crate) fn is_known_text(&mut self, connection: &mut LiveConnection, cycle: u64, text: &[u8]) -> bool {
        let (known, stated) = (&self.texts, self.good_text);
        let is_known = known.0 == cycle && known.1.as_bytes() == text && stated >= connection.last_stated;
        if is_known && stated > i64::MIN {
            (connection.last_stated, connection.stated_in) = (stated, cycle);
            self.exercise(Guarantee::G6);
            return true;
        }
        false
    }

    /// Judges the instant that a push states. `wall` holds the due instant and the arrival on this machine's wall
    /// clock.
    pub(crate) fn on_text(
        &mut self,
        connection: &mut LiveConnection,
        text: &str,
        stated: Stated,
        wall: (WallTime, WallTime),
        cycle: u64,
        at: Timestamp,
    ) {
        let client = Some(connection.core.client);
        let role = connection.role;
        let wrong = |why: &str| Observation::of(role, format!("{text:?}{why}"));
        let time = match stated {
            Stated::Wrong => {
                let seen = wrong(" does not follow the pattern, or is not a date");
                return self.violate(Guarantee::G6, Fault::WrongText, at, client, seen);
            }
            Stated::Nothing => return self.exercise(Guarantee::G6),
            Stated::Time(time) => time,
        };
        self.compare_texts(cycle, text);
        if time.and_utc().timestamp() < connection.last_stated {
            let seen = wrong(" came after a later one");
            let since = connection.stated_in;
            self.backwards.push(Backwards { since, cycle, at, client: connection.core.client, seen });
        }
        (connection.last_stated, connection.stated_in) = (time.and_utc().timestamp(), cycle);
        let slack = self.grid.period() / 3;
        match self.stamps.check((cycle, text), time, wall.0, wall.1, slack) {
            Ok(()) => {
                if self.texts.1 == text {
                    self.good_text = connection.last_stated;
                }
                self.exercise(Guarantee::G6);
            }
            Err(why) => {
                let seen = wrong(&format!(", {why}"));
                self.violate(Guarantee::G6, Fault::WrongText, at, client, seen);
            }
        }
    }

    pub(super) fn compare_texts(&mut self, cycle: u64, text: &str) {
        if self.texts.0 != cycle {
            self.texts = (cycle, text.to_owned());
            self.good_text = i64::MIN;
        } else if self.texts.1 != text {
            self.has_other_texts = true;
        }
    }

    /// Judges the texts by the whole run (G6).
    pub(crate) fn conclude_texts(&mut self) {
        let Conclusion { wrong, changes, findings } = self.stamps.conclude(self.grid.period());
        for (cycle, sentence) in wrong {
            let at = self.grid.due(cycle);
            self.violate(Guarantee::G6, Fault::WrongText, at, None, sentence);
        }
        for finding in findings {
            self.add_finding(Guarantee::G6, finding);
        }
        for Backwards { since, cycle, at, client, seen } in std::mem::take(&mut self.backwards) {
            // PROTOCOL.md excuses it when the clock or its offset changes.
            if !changes.iter().any(|change| (since + 1..=cycle).contains(change)) {
                self.violate(Guarantee::G5, Fault::OutOfOrder, at, Some(client), seen);
            }
        }
        if !self.has_other_texts {
            return;
        }
        if self.is_strict {
            let detail = "clients got different texts of one cycle".to_owned();
            self.violate(Guarantee::G6, Fault::WrongText, Timestamp::ZERO, None, detail);
        } else {
            self.add_finding(
                Guarantee::G6,
                "texts of one cycle differ, as if each was rendered when it was sent".to_owned(),
            );
        }
    }
}
