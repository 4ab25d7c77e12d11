//! The verdicts of a trial as text, as JSON, and as JUnit XML.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use carillon_server::Timestamp;

use super::options::SEED;
use super::session::Session;
use crate::live::judge::verdicts::{self, Trial};
use crate::markup::escaped;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::format::INSECURE;
use crate::report::{GuaranteeEntry, Palette, Summary, guarantee_columns};

/// The width of the text report, in columns.
const WIDTH: usize = 100;

/// The verdicts of a trial.
#[derive(Clone, Debug)]
pub struct Conformance {
    url: String,
    period: Duration,
    took: Duration,
    cycles: usize,
    deliveries: u64,
    uncertainty: Uncertainty,
    guarantees: Vec<GuaranteeEntry>,
    summary: Summary,
}

/// What the harness could not observe, measured during the trial.
#[derive(Clone, Copy, Debug)]
pub struct Uncertainty {
    /// The 99th percentile of the time from a message to its reply, in milliseconds.
    pub round_trip_p99_ms: f64,
    /// The 99th percentile of the harness's wake-up delay, in milliseconds.
    pub own_delay_p99_ms: f64,
    /// The largest wake-up delay of the harness, in milliseconds.
    pub own_delay_max_ms: f64,
}

impl Conformance {
    pub(super) fn conclude(session: &Session) -> Self {
        let state = &session.state;
        let now = state.now();
        let mut judge = state.judge.borrow_mut();
        judge.conclude(u64::MAX);
        judge.conclude_grid(state.uncertainty(), now);
        judge.conclude_late(state.pulse.lateness(0.999), now);
        judge.conclude_texts();
        let (round_trip, delay) = (state.round_trip(0.99), state.pulse.lateness(0.99));
        let measured = format!(
            "99 in 100 answers came within {round_trip:.1?}, and the harness was then at most {delay:.1?} late itself"
        );
        judge.add_finding(Guarantee::G10, measured);
        let guarantees = verdicts::entries(&judge, &session.options.guarantees);
        let (cycles, deliveries, clients) =
            (judge.grid.cycles().len(), judge.deliveries(), state.client_count());
        drop(judge);
        let took = now.since(Timestamp::ZERO);
        state.close_metrics();
        let trial = Trial {
            command: "conform",
            scenario: "conform".to_owned(),
            seed: SEED,
            clients,
            plan: None,
            shard: None,
            thresholds: Vec::new(),
            interrupted: false,
            repeat: session.options.repeat_line(),
        };
        let summary = verdicts::summary(state, &guarantees, trial);
        let uncertainty = Uncertainty {
            round_trip_p99_ms: millis(round_trip),
            own_delay_p99_ms: millis(delay),
            own_delay_max_ms: millis(state.pulse.lateness(1.0)),
        };
        let url = state.address.to_string();
        Self { url, period: session.period(), took, cycles, deliveries, uncertainty, guarantees, summary }
    }

    /// The verdict on the whole trial.
    pub fn verdict(&self) -> Verdict {
        verdicts::overall(&self.guarantees)
    }

    /// The verdict on each guarantee, G1 first.
    pub fn guarantees(&self) -> &[GuaranteeEntry] {
        &self.guarantees
    }

    /// The JSON object: that of `run`, with the fields that exist only on real time.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

/// The verdicts as text. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct ConformReport<'a> {
    /// The verdicts.
    pub conformance: &'a Conformance,
    /// Whether the text is coloured.
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
        if self.conformance.summary.insecure {
            writeln!(f, "{}\n", self.palette.paint(Verdict::Violated, INSECURE))?;
        }
        for entry in guarantees {
            let columns = guarantee_columns(self.palette, &entry.id, &entry.name, entry.verdict);
            let counts = match entry.violations {
                0 => format!("{} times", entry.exercised),
                broken => format!("{broken} violations"),
            };
            let counts = if entry.verdict == Verdict::NotExercised { String::new() } else { counts };
            writeln!(f, "{columns}{counts:>16}")?;
            if entry.verdict == Verdict::Violated
                && let Some(guarantee) = Guarantee::ALL.into_iter().find(|one| one.to_string() == entry.id)
            {
                indented(f, &format!("promised: {}", guarantee.promise()))?;
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

/// Writes an indented paragraph below a line of the table.
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

/// The verdicts as JUnit XML: one test case for each guarantee. A guarantee that is undecided or was not exercised
/// counts as skipped.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn conformance() -> Conformance {
        let summary = r#"{"schema_version": 2, "command": "conform", "arm": "live", "scenario": "conform", "seed": "1",
            "clients": 1, "period_seconds": 2.0, "wall_seconds": 20.5, "cycles": 9, "deliveries": 120,
            "deliveries_per_second": 6.0, "verdict": "held", "guarantees": [], "violations": [], "races": {"close": 0,
            "connect": 0, "subscribe": 0, "unsubscribe": 0}, "coverage": [], "latency_ms": null, "metrics": null,
            "repeat": ""}"#;
        let entry = |id: &str, verdict, evidence: &str| GuaranteeEntry {
            id: id.to_owned(),
            name: "Subscribed by default".into(),
            promise: "A connection is subscribed.".to_owned(),
            verdict,
            exercised: 1,
            violations: u64::from(verdict == Verdict::Violated),
            evidence: vec![evidence.to_owned()],
        };
        Conformance {
            url: "ws://h/?a&b".to_owned(),
            period: Duration::from_secs(2),
            took: Duration::from_millis(20_500),
            cycles: 9,
            deliveries: 120,
            uncertainty: Uncertainty { round_trip_p99_ms: 1.0, own_delay_p99_ms: 2.0, own_delay_max_ms: 3.0 },
            guarantees: vec![
                entry("G1", Verdict::Violated, "<push> \u{1} & \"echo\""),
                entry("G2", Verdict::Held, "12 times"),
                entry("G3", Verdict::Undecided, "a doubt"),
            ],
            summary: serde_json::from_str(summary).unwrap(),
        }
    }

    #[test]
    fn junit_counts_and_escapes() {
        let xml = junit(&conformance());
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("conform ws://h/?a&amp;b"), "{xml}");
        assert!(xml.contains("&lt;push&gt; \\u{1} &amp; &quot;echo&quot;"), "{xml}");
    }

    #[test]
    fn the_text_states_the_promise_and_the_evidence_of_a_violation() {
        let conformance = conformance();
        let text = ConformReport { conformance: &conformance, palette: Palette::Plain }.to_string();
        assert!(text.contains("promised: A new connection is subscribed."), "{text}");
        assert!(text.ends_with("1 held, 1 VIOLATED, 1 undecided, 0 not exercised\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn an_insecure_trial_says_so_in_its_first_lines() {
        let mut conformance = conformance();
        let text =
            |conformance: &Conformance| ConformReport { conformance, palette: Palette::Plain }.to_string();
        assert!(!text(&conformance).contains(INSECURE));
        conformance.summary.insecure = true;
        let text = text(&conformance);
        assert!(text.split("G1").next().unwrap().contains(INSECURE), "{text}");
    }

    #[test]
    fn one_violation_makes_the_whole_trial_violated() {
        assert_eq!(conformance().verdict(), Verdict::Violated);
        let mut nothing = conformance();
        nothing.guarantees.retain(|entry| entry.verdict == Verdict::Undecided);
        assert_eq!(nothing.verdict(), Verdict::Undecided);
    }
}
