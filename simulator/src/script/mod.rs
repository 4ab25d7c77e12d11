//! A script: the complete record of a run. It contains the scenario, the seed, and all actions of clients and
//! environment.
//!
//! The file is a scenario in TOML, a line `---`, a head of `seed`, `arm` and `breaks`, and the lines of the script.
//! Text after a `#` is a comment.

pub(crate) mod line;
pub(crate) mod verb;

use std::path::Path;
use std::str::FromStr;

use crate::file::{self, LoadError, Mistake};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Score, Violation};
use crate::scenario::file::{self as scenario_file, Unwritable};
use crate::scenario::{Arm, Scenario};
use crate::script::line::ScriptLine;
use crate::script::verb::Verb;

/// The line between the scenario and the rest.
const RULE: &str = "---";

/// A run as data: with the same server it repeats exactly. It is read with [`str::parse`] or [`Script::load`].
#[derive(Clone, Debug)]
pub struct Script {
    /// The configuration of the server, the bounds and the links. The clients' behaviour in it is ignored.
    pub scenario: Scenario,
    /// Decides masks, ties, and the skew between shards.
    pub seed: u64,
    /// The arm of the run.
    pub arm: Arm,
    /// The guarantee that the run violates, and the fault; `None` if the script names none.
    pub breaks: Option<(Guarantee, Fault)>,
    /// The actions of clients and environment, in order of time.
    pub lines: Vec<ScriptLine>,
}

impl Script {
    /// The script of a recorded run ([`Outcome::record`]). It names the first violation.
    ///
    /// [`Outcome::record`]: crate::Outcome::record
    pub(crate) fn recorded(
        scenario: &Scenario,
        seed: u64,
        arm: Arm,
        lines: Vec<ScriptLine>,
        score: &Score,
    ) -> Self {
        let breaks = score.violations.first().map(|first| (first.guarantee, first.fault));
        Self { scenario: Scenario { file: None, ..scenario.clone() }, seed, arm, breaks, lines }
    }

    /// The same script, which names the first violation of `guarantee` in `score`.
    ///
    /// `None` if `score` has no kept violation of it.
    pub fn about(self, guarantee: Guarantee, score: &Score) -> Option<Self> {
        let first = score.violations.iter().find(|violation| violation.guarantee == guarantee)?;
        Some(Self { breaks: Some((guarantee, first.fault)), ..self })
    }

    /// The first violation in `score` that the script names, or the first of all if it names none.
    pub fn violation_in<'a>(&self, score: &'a Score) -> Option<&'a Violation> {
        score.violations.iter().find(|violation| {
            self.breaks.is_none_or(|breaks| breaks == (violation.guarantee, violation.fault))
        })
    }

    /// The text of a file that [`str::parse`] reads as this script.
    ///
    /// # Errors
    ///
    /// The scenario contains a value that a file cannot express.
    pub fn to_text(&self) -> Result<String, Unwritable> {
        let mut text = terse(&scenario_file::format(&self.scenario)?);
        text.push_str(&format!("{RULE}\nseed {}\narm {}\n", self.seed, self.arm));
        if let Some((guarantee, fault)) = self.breaks {
            text.push_str(&format!("breaks {guarantee} {}\n", fault.name()));
        }
        text.push('\n');
        for line in &self.lines {
            text.push_str(&format!("{line}\n"));
        }
        Ok(text)
    }

    /// Reads a script from a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or contains a mistake.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        file::load(path, str::parse)
    }
}

/// A scenario file without the lines and tables that only repeat defaults.
fn terse(text: &str) -> String {
    let meaning =
        |lines: &[&str]| scenario_file::parse(&lines.join("\n")).map(|scenario| format!("{scenario:?}"));
    let is_table = |line: &&str| line.starts_with('[');
    let mut lines: Vec<&str> = text.lines().collect();
    let whole = meaning(&lines);
    // From the end, so that a table has only its necessary lines when its name is reached.
    for start in (0..lines.len()).rev() {
        let next_table = || lines[start + 1..].iter().position(is_table).map(|place| start + 1 + place);
        let end = if is_table(&lines[start]) { next_table().unwrap_or(lines.len()) } else { start + 1 };
        let rest = [&lines[..start], &lines[end..]].concat();
        if meaning(&rest) == whole {
            lines = rest;
        }
    }
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

impl FromStr for Script {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let Some(rule) = text.lines().position(|line| line.trim() == RULE) else {
            let sentence = format!("a script needs a line {RULE} between its scenario and its actions");
            return Err(mistake(text.lines().count().max(1), sentence));
        };
        let head: String = text.lines().take(rule).flat_map(|line| [line, "\n"]).collect();
        let mut body = Body::new(scenario_file::parse(&head)?);
        for (index, line) in text.lines().enumerate().skip(rule + 1) {
            body.read(without_comment(line)).map_err(|sentence| mistake(index + 1, sentence))?;
        }
        body.finish().map_err(|sentence| mistake(rule + 1, sentence))
    }
}

fn mistake(line: usize, sentence: String) -> Mistake {
    Mistake { line, column: 1, sentence }
}

/// The line without its comment. No word of a script contains a `#`.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// The part after the rule, as far as it has been read.
struct Body {
    scenario: Scenario,
    seed: Option<u64>,
    arm: Option<Arm>,
    breaks: Option<(Guarantee, Fault)>,
    lines: Vec<ScriptLine>,
}

impl Body {
    fn new(scenario: Scenario) -> Self {
        Self { scenario, seed: None, arm: None, breaks: None, lines: Vec::new() }
    }

    fn read(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "" => Ok(()),
            "at" => self.add(line.parse()?),
            "arm" => once(&mut self.arm, word, parse_arm(rest)?),
            "breaks" => once(&mut self.breaks, word, parse_breaks(rest)?),
            "seed" => {
                let seed =
                    rest.parse().map_err(|_| format!("{rest:?} is not a seed; write a whole number"))?;
                once(&mut self.seed, word, seed)
            }
            _ => Err(format!("{word:?} does not begin a line of a script; allowed: seed, arm, breaks, at")),
        }
    }

    fn add(&mut self, line: ScriptLine) -> Result<(), String> {
        if let ScriptLine::Client { client, verb, .. } = &line {
            let clients = self.scenario.clients;
            if *client >= clients {
                return Err(format!("there is no client {client}; allowed: 0 to {}", clients - 1));
            }
            self.check_link(verb)?;
        }
        if self.lines.last().is_some_and(|last| last.at() > line.at()) {
            return Err(
                "happens before the line above it; put the lines in the order of their times".to_owned()
            );
        }
        self.lines.push(line);
        Ok(())
    }

    /// Checks that the oracle allows for the latency of the link. Over a slower link a correct server would seem late.
    fn check_link(&self, verb: &Verb) -> Result<(), String> {
        let Verb::Connect(plan) = verb else { return Ok(()) };
        let longest = self.scenario.links.longest_way();
        if plan.latency + 2 * plan.jitter <= longest && plan.sliced <= 1000 {
            return Ok(());
        }
        let longest = longest.as_secs_f64();
        Err(format!(
            "the link is too slow; allowed: latency + 2 × jitter up to {longest}s, sliced up to 1000"
        ))
    }

    fn finish(self) -> Result<Script, String> {
        let seed = self.seed.ok_or("after it a line is missing: seed and a number")?;
        let Self { scenario, arm, breaks, lines, .. } = self;
        Ok(Script { scenario, seed, arm: arm.unwrap_or_default(), breaks, lines })
    }
}

fn once<T>(place: &mut Option<T>, word: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("a second {word}; one is enough")),
    }
}

fn parse_arm(word: &str) -> Result<Arm, String> {
    Arm::ALL.into_iter().find(|arm| arm.name() == word).ok_or_else(|| {
        let allowed = Arm::ALL.map(Arm::name).join(", ");
        format!("{word:?} is not an arm; allowed: {allowed}")
    })
}

/// Reads `G2 unexpected`.
fn parse_breaks(words: &str) -> Result<(Guarantee, Fault), String> {
    let (name, fault) = words.split_once(' ').unwrap_or((words, ""));
    let guarantee = name.parse()?;
    let found = Fault::ALL.into_iter().find(|known| known.name() == fault.trim());
    let found = found.ok_or_else(|| {
        let allowed = Fault::ALL.map(Fault::name).join(", ");
        format!("{fault:?} is not a known fault; allowed: {allowed}")
    })?;
    Ok((guarantee, found))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCRIPT: &str = "\
name = \"silence\"  # of the scenario
clients = 2
duration = \"15m\"
---
seed 7  # decides the ties
breaks G2 unexpected

at 0.5s client 0 connects latency 0.02s
# Now the switch:
at 290s client 0 says unsubscribe, fence-1
";

    fn mistake_after(from: &str, to: &str) -> (usize, String) {
        assert!(SCRIPT.contains(from), "{from}");
        let mistake = SCRIPT.replace(from, to).parse::<Script>().unwrap_err();
        (mistake.line, mistake.sentence)
    }

    #[test]
    fn a_script_has_a_scenario_and_actions() {
        let script: Script = SCRIPT.parse().unwrap();
        assert_eq!((script.scenario.clients, script.seed, script.arm), (2, 7, Arm::Core));
        assert_eq!(script.breaks, Some((Guarantee::G2, Fault::Unexpected)));
        let lines: Vec<String> = script.lines.iter().map(ToString::to_string).collect();
        assert_eq!(lines[1], "at 290s client 0 says unsubscribe, fence-1");
    }

    #[test]
    fn the_error_of_a_script_names_the_line_and_what_is_allowed() {
        for (from, to, line, allowed) in [
            ("duration = \"15m\"", "duration = 15", 3, "1h30m"),
            ("---", "--", 10, "---"),
            ("seed 7", "# seed 7", 4, "seed"),
            ("seed 7", "seed seven", 5, "whole number"),
            ("G2 un", "G16 un", 6, "G1 to G15"),
            ("unexpected", "suddenly", 6, "out of order"),
            ("breaks", "seed 1\nbreaks", 6, "one is enough"),
            ("breaks", "arm left\nbreaks", 6, "core, paused"),
            ("breaks", "Breaks", 6, "seed, arm, breaks, at"),
            ("client 0 says", "client 2 says", 10, "0 to 1"),
            ("0.02s", "2s", 8, "0.35s"),
            ("at 290s", "at 0.4s", 10, "order of their times"),
            ("says unsub", "sings unsub", 10, "connects, leaves"),
        ] {
            let (at, sentence) = mistake_after(from, to);
            assert_eq!(at, line, "{from} → {to}: {sentence}");
            assert!(sentence.contains(allowed), "{from} → {to}: {sentence}");
        }
    }

    #[test]
    fn default_values_are_not_written() {
        let script: Script = SCRIPT.parse().unwrap();
        let text = script.to_text().unwrap();
        let (head, _) = text.split_once("---").unwrap();
        let keys: Vec<_> = head.lines().map(|line| line.split_once(" = ").unwrap().0).collect();
        assert_eq!(keys, ["name", "clients", "duration"]);
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "[a-zA-Z0-9 .,#\n-]*") {
            let _answers = (text.parse::<Script>(), format!("{SCRIPT}{text}").parse::<Script>());
        }
    }
}
