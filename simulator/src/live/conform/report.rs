//! What a trial came to, for people, for machines, and as JUnit's XML.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use super::show::Show;
use crate::explain::promise;
use crate::guarantee::Guarantee;
use crate::live::judge::seconds;
use crate::report::{GuaranteeEntry, Palette, SCHEMA_VERSION, Verdict};
use crate::score::Violation;

/// Sentences of evidence per guarantee.
const EVIDENCE: usize = 3;

/// The columns of the text report.
const WIDTH: usize = 100;

/// The verdicts of a trial.
#[derive(Clone, Debug)]
pub struct Conformance {
    url: String,
    period: Duration,
    is_strict: bool,
    took: Duration,
    cycles: usize,
    deliveries: u64,
    uncertainty: Uncertainty,
    guarantees: Vec<GuaranteeEntry>,
}

/// What the harness could not see, measured during the trial.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Uncertainty {
    /// From asking to the answer, 99 in a hundred times, in milliseconds.
    pub round_trip_p99_ms: f64,
    /// How late the harness was woken, 99 in a hundred times, in milliseconds.
    pub own_delay_p99_ms: f64,
    /// How late it was woken at worst, in milliseconds.
    pub own_delay_max_ms: f64,
}

/// The object that `--json` writes.
#[derive(Clone, Debug, Serialize)]
pub struct ConformSummary<'a> {
    /// The version of this object.
    pub schema_version: u32,
    /// The subcommand, `conform`.
    pub command: &'static str,
    /// The server.
    pub url: &'a str,
    /// The time between two pushes.
    pub period_seconds: f64,
    /// Whether the reference server's own choices were demanded as well.
    pub strict: bool,
    /// Wall time.
    pub wall_seconds: f64,
    /// Cycles of which a push was seen.
    pub cycles: usize,
    /// Pushes that reached a client.
    pub deliveries: u64,
    /// What the windows of the judge were widened by.
    pub uncertainty: Uncertainty,
    /// `held`, `violated`, or `not_exercised` if nothing was exercised.
    pub verdict: Verdict,
    /// The verdict on each guarantee, G1 first.
    pub guarantees: &'a [GuaranteeEntry],
    /// What each guarantee promises, in a sentence.
    pub promises: BTreeMap<String, String>,
}

impl Conformance {
    pub(super) fn conclude(show: &Show) -> Self {
        let stage = &show.stage;
        let now = stage.now();
        let mut judge = stage.judge.borrow_mut();
        judge.conclude(u64::MAX);
        judge.conclude_grid(stage.blur(), now);
        judge.conclude_texts();
        let (round_trip, delay) = (stage.round_trip(0.99), stage.pulse.lateness(0.99));
        let measured = format!(
            "99 in 100 answers came within {round_trip:.1?}, and the harness was then at most {delay:.1?} late itself"
        );
        judge.find(Guarantee::G10, measured);
        let entry = |guarantee: Guarantee| entry(show, &judge, guarantee);
        Self {
            url: stage.address.to_string(),
            period: show.period(),
            is_strict: judge.is_strict,
            took: now.since(carillon_server::Timestamp::ZERO),
            cycles: judge.rhythm.cycles().len(),
            deliveries: judge.deliveries(),
            uncertainty: Uncertainty {
                round_trip_p99_ms: millis(round_trip),
                own_delay_p99_ms: millis(delay),
                own_delay_max_ms: millis(stage.pulse.lateness(1.0)),
            },
            guarantees: Guarantee::ALL.map(entry).into(),
        }
    }

    /// The verdict on the whole.
    pub fn verdict(&self) -> Verdict {
        let has = |verdict| self.guarantees.iter().any(|entry| entry.verdict == verdict);
        if has(Verdict::Violated) {
            Verdict::Violated
        } else if has(Verdict::Held) {
            Verdict::Held
        } else {
            Verdict::NotExercised
        }
    }

    /// The verdict on each guarantee, G1 first.
    pub fn guarantees(&self) -> &[GuaranteeEntry] {
        &self.guarantees
    }

    /// The object for machines.
    pub fn summary(&self) -> ConformSummary<'_> {
        let promises = Guarantee::ALL.map(|guarantee| (guarantee.to_string(), promise(guarantee)));
        ConformSummary {
            schema_version: SCHEMA_VERSION,
            command: "conform",
            url: &self.url,
            period_seconds: self.period.as_secs_f64(),
            strict: self.is_strict,
            wall_seconds: (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
            cycles: self.cycles,
            deliveries: self.deliveries,
            uncertainty: self.uncertainty,
            verdict: self.verdict(),
            guarantees: &self.guarantees,
            promises: promises.into_iter().collect(),
        }
    }
}

fn entry(show: &Show, judge: &crate::live::judge::Judge, guarantee: Guarantee) -> GuaranteeEntry {
    let tally = judge.tally(guarantee);
    let doubts = judge.doubts(guarantee);
    let is_tried = show.tries(guarantee);
    let verdict = match Verdict::of(tally) {
        _ if !is_tried => Verdict::NotExercised,
        Verdict::NotExercised if !doubts.is_empty() => Verdict::Undecided,
        verdict => verdict,
    };
    let mut evidence: Vec<String> = Vec::new();
    if !is_tried {
        evidence.push("not asked for".to_owned());
    } else {
        let broken = judge.violations.iter().filter(|violation| violation.guarantee == guarantee);
        evidence.extend(broken.take(EVIDENCE).map(sentence));
        if verdict != Verdict::Violated {
            evidence.extend(doubts.iter().take(EVIDENCE).cloned());
            evidence.extend(judge.findings(guarantee).iter().take(EVIDENCE).cloned());
        }
        if verdict == Verdict::NotExercised {
            evidence.extend(why_not(guarantee).map(str::to_owned));
        }
    }
    let (exercised, violations) = if is_tried { (tally.exercised, tally.violations) } else { (0, 0) };
    GuaranteeEntry {
        id: guarantee.to_string(),
        name: guarantee.name().into(),
        verdict,
        exercised,
        violations,
        evidence,
    }
}

/// What it takes to put it to the test.
fn why_not(guarantee: Guarantee) -> Option<&'static str> {
    match guarantee {
        Guarantee::G14 => Some("only a server that is started here, with --spawn, is told to shut down"),
        Guarantee::G15 => {
            Some("the log is read only of a server that is started here, with --spawn, and with --strict")
        }
        _ => None,
    }
}

fn sentence(violation: &Violation) -> String {
    format!("{}, {}: {}", seconds(violation.at), violation.fault.name(), violation.detail)
}

fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

/// The verdicts for people. Print it.
#[derive(Clone, Copy, Debug)]
pub struct ConformReport<'a> {
    /// The verdicts.
    pub conformance: &'a Conformance,
    /// Whether it is coloured.
    pub palette: Palette,
}

impl Display for ConformReport<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Conformance { url, period, cycles, deliveries, took, uncertainty, guarantees, .. } =
            self.conformance;
        let period = crate::units::format_span(*period);
        writeln!(
            f,
            "{url}, a push every {period}: {deliveries} pushes in {cycles} cycles, {:.0} s\n\
             answers within {:.1} ms, the harness itself at most {:.1} ms late (99 in 100 times)\n",
            took.as_secs_f64(),
            uncertainty.round_trip_p99_ms,
            uncertainty.own_delay_p99_ms,
        )?;
        for entry in guarantees {
            let word = format!("{:<15}", entry.verdict.name());
            let word = self.palette.paint(entry.verdict, &word);
            let counts = match entry.violations {
                0 => format!("{} times", entry.exercised),
                broken => format!("{broken} violations"),
            };
            let counts = if entry.verdict == Verdict::NotExercised { String::new() } else { counts };
            writeln!(f, "  {:<5}{:<31}{word}{counts:>16}", entry.id, entry.name)?;
            if entry.verdict == Verdict::Violated
                && let Some(guarantee) = Guarantee::ALL.into_iter().find(|one| one.to_string() == entry.id)
            {
                indented(f, &format!("promised: {}", promise(guarantee)))?;
            }
            for evidence in &entry.evidence {
                indented(f, evidence)?;
            }
        }
        let count = |verdict| guarantees.iter().filter(|entry| entry.verdict == verdict).count();
        let counts = [Verdict::Held, Verdict::Violated, Verdict::Undecided, Verdict::NotExercised]
            .map(|verdict| format!("{} {}", count(verdict), verdict.name()));
        let verdict = self.conformance.verdict();
        writeln!(f, "\n{}", self.palette.paint(verdict, &counts.join(", ")))
    }
}

/// A paragraph below a line of the table.
fn indented(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    const INDENT: &str = "         ";
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && INDENT.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{INDENT}{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(f, "{INDENT}{line}")
}

/// The verdicts as JUnit's XML: a test case each; what was not exercised or is undecided counts as skipped.
pub fn junit(conformance: &Conformance) -> String {
    let entries = &conformance.guarantees;
    let count = |wanted: &[Verdict]| entries.iter().filter(|entry| wanted.contains(&entry.verdict)).count();
    let (failures, skipped) =
        (count(&[Verdict::Violated]), count(&[Verdict::NotExercised, Verdict::Undecided]));
    let url = escaped(&conformance.url);
    let took = conformance.took.as_secs_f64();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"conform {url}\" tests=\"{}\" \
         failures=\"{failures}\" skipped=\"{skipped}\" errors=\"0\" time=\"{took:.3}\">\n",
        entries.len()
    );
    for entry in entries {
        let name = format!("{} {}", entry.id, entry.name);
        let evidence = escaped(&entry.evidence.join("\n"));
        xml.push_str(&format!("  <testcase classname=\"carillon\" name=\"{}\">", escaped(&name)));
        match entry.verdict {
            Verdict::Held => {}
            Verdict::Violated => {
                let message = escaped(entry.evidence.first().map_or("", String::as_str));
                xml.push_str(&format!("<failure message=\"{message}\">{evidence}</failure>"));
            }
            verdict => xml.push_str(&format!("<skipped message=\"{}\"/>", escaped(verdict.name()))),
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text as it may stand in XML 1.0: reserved characters as entities, forbidden ones as a replacement.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push('\u{FFFD}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conformance() -> Conformance {
        let entry = |id: &str, verdict, evidence: &str| GuaranteeEntry {
            id: id.to_owned(),
            name: "Subscribed by default".into(),
            verdict,
            exercised: 1,
            violations: u64::from(verdict == Verdict::Violated),
            evidence: vec![evidence.to_owned()],
        };
        Conformance {
            url: "ws://h/?a&b".to_owned(),
            period: Duration::from_secs(2),
            is_strict: false,
            took: Duration::from_millis(20_500),
            cycles: 9,
            deliveries: 120,
            uncertainty: Uncertainty { round_trip_p99_ms: 1.0, own_delay_p99_ms: 2.0, own_delay_max_ms: 3.0 },
            guarantees: vec![
                entry("G1", Verdict::Violated, "<push> \u{1} & \"echo\""),
                entry("G2", Verdict::Held, "12 times"),
                entry("G3", Verdict::Undecided, "a doubt"),
            ],
        }
    }

    #[test]
    fn junit_counts_and_escapes() {
        let xml = junit(&conformance());
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("conform ws://h/?a&amp;b"), "{xml}");
        assert!(xml.contains("&lt;push&gt; \u{FFFD} &amp; &quot;echo&quot;"), "{xml}");
    }

    #[test]
    fn the_text_says_what_was_promised_and_what_was_seen() {
        let conformance = conformance();
        let text = ConformReport { conformance: &conformance, palette: Palette::Plain }.to_string();
        assert!(text.contains("promised: A new connection is subscribed."), "{text}");
        assert!(text.ends_with("1 held, 1 VIOLATED, 1 undecided, 0 not exercised\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn one_violation_outweighs_all_that_held() {
        assert_eq!(conformance().verdict(), Verdict::Violated);
        let mut nothing = conformance();
        nothing.guarantees.retain(|entry| entry.verdict == Verdict::Undecided);
        assert_eq!(nothing.verdict(), Verdict::NotExercised);
    }
}
