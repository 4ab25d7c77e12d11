//! The verdicts of a trial as text, as JSON, and as JUnit XML.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use carillon_server::Timestamp;

use super::options::SEED;
use super::session::Session;
use crate::live::judge::verdicts::{self, Trial};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::verdict::Verdict;
use crate::report::format::{INSECURE, count_besides, counted};
use crate::report::{BELOW, GuaranteeEntry, LaxList, Palette, Summary};
use crate::report::{guarantee_columns, labelled_line, not_asked_for, paragraph};

/// The verdicts of a trial.
#[derive(Clone, Debug)]
pub struct Conformance {
    url: String,
    period: Duration,
    took: Duration,
    cycles: usize,
    deliveries: u64,
    uncertainty: Uncertainty,
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
        judge.conclude_causes(state.client_count(), state.uncertainty(), now);
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
        Self { url, period: session.period(), took, cycles, deliveries, uncertainty, summary }
    }

    /// The verdict on the whole trial.
    pub fn verdict(&self) -> Verdict {
        verdicts::overall(self.guarantees())
    }

    /// The verdict on each guarantee, G1 first.
    pub fn guarantees(&self) -> &[GuaranteeEntry] {
        &self.summary.guarantees
    }

    /// How many guarantees have each verdict, and what is beside them.
    fn counts(&self) -> String {
        let (asked, others): (Vec<_>, Vec<_>) =
            self.guarantees().iter().partition(|entry| entry.is_asked_for());
        let count = |verdict| asked.iter().filter(|entry| entry.verdict == verdict).count();
        let counts = [Verdict::Held, Verdict::Violated, Verdict::Undecided, Verdict::NotExercised]
            .map(|verdict| format!("{} {}", count(verdict), verdict.name()));
        format!("{}{}", counts.join(", "), count_besides(others.len(), self.summary.lax.len()))
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
        let (summary, guarantees) = (self.conformance.summary(), self.conformance.guarantees());
        self.head(f)?;
        for entry in guarantees.iter().filter(|entry| entry.is_asked_for()) {
            self.guarantee(entry, f)?;
        }
        if let Some(line) = not_asked_for(guarantees) {
            paragraph(f, "  ", &line)?;
        }
        if !summary.lax.is_empty() {
            write!(f, "\n{}", LaxList { entries: &summary.lax, has_strict: true })?;
        }
        let verdict = self.conformance.verdict();
        writeln!(f, "\n{}", self.palette.paint(verdict, &self.conformance.counts()))?;
        labelled_line(f, "repeat", &summary.repeat)
    }
}

impl ConformReport<'_> {
    /// What was tried, and what must be known before any verdict.
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Conformance { url, period, cycles, deliveries, took, uncertainty, summary, .. } =
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
        if summary.insecure {
            writeln!(f, "{}\n", self.palette.paint(Verdict::Violated, INSECURE))?;
        }
        for headline in &summary.headlines {
            paragraph(f, "", headline)?;
            writeln!(f)?;
        }
        Ok(())
    }

    /// The row of a guarantee, and its evidence.
    fn guarantee(&self, entry: &GuaranteeEntry, f: &mut Formatter<'_>) -> fmt::Result {
        let columns = guarantee_columns(self.palette, &entry.id, &entry.name, entry.verdict);
        let counts = match (entry.verdict, entry.violations) {
            (Verdict::NotExercised, _) => String::new(),
            (_, 0) => counted(entry.exercised, "time"),
            (_, broken) => counted(broken, "violation"),
        };
        writeln!(f, "{}", format!("{columns}{counts:>16}").trim_end())?;
        if entry.verdict == Verdict::Violated
            && let Some(guarantee) = Guarantee::ALL.into_iter().find(|one| one.to_string() == entry.id)
        {
            paragraph(f, BELOW, &format!("promised: {}", guarantee.promise()))?;
        }
        entry.shown_evidence().iter().try_for_each(|sentence| paragraph(f, BELOW, sentence))
    }
}

/// The verdicts as JUnit XML: one test case for each guarantee. A guarantee that is undecided or was not exercised
/// counts as skipped, and a lax departure is no failure.
pub fn junit(conformance: &Conformance) -> String {
    let name = format!("conform {}", conformance.url);
    crate::report::junit(&name, conformance.took.as_secs_f64(), &conformance.summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::clause::{Clause, Lapse};
    use crate::oracle::score::Tally;
    use crate::report::LaxEntry;

    const WIDTH: usize = 100;

    fn conformance() -> Conformance {
        let summary = r#"{"schema_version": 2, "command": "conform", "arm": "live", "scenario": "conform", "seed": "1",
            "clients": 1, "period_seconds": 2.0, "wall_seconds": 20.5, "cycles": 9, "deliveries": 120,
            "deliveries_per_second": 6.0, "verdict": "held", "guarantees": [], "violations": [], "races": {"close": 0,
            "connect": 0, "subscribe": 0, "unsubscribe": 0}, "coverage": [], "latency_ms": null, "metrics": null,
            "repeat": "carillon-sim conform ws://h/?a&b --period 2s"}"#;
        let entry = |guarantee, verdict, exercised, evidence: &[&str]| {
            let violations = u64::from(verdict == Verdict::Violated);
            let evidence = evidence.iter().map(|sentence| (*sentence).to_owned()).collect();
            GuaranteeEntry::new(guarantee, verdict, Tally { exercised, violations }, evidence)
        };
        let mut summary: Summary = serde_json::from_str(summary).unwrap();
        summary.guarantees = vec![
            entry(Guarantee::G1, Verdict::Violated, 1, &["<push> \u{1} & \"echo\""]),
            entry(Guarantee::G2, Verdict::Held, 1240, &["12 times"]),
            entry(Guarantee::G3, Verdict::Undecided, 1, &["a doubt"]),
        ];
        Conformance {
            url: "ws://h/?a&b".to_owned(),
            period: Duration::from_secs(2),
            took: Duration::from_millis(20_500),
            cycles: 9,
            deliveries: 120,
            uncertainty: Uncertainty { round_trip_p99_ms: 1.0, own_delay_p99_ms: 2.0, own_delay_max_ms: 3.0 },
            summary,
        }
    }

    /// A trial with all that a report can have.
    fn full() -> Conformance {
        let mut conformance = conformance();
        let entry = |guarantee, evidence: &[String]| {
            let tally = Tally::default();
            GuaranteeEntry::new(guarantee, Verdict::NotExercised, tally, evidence.to_vec())
        };
        let summary = &mut conformance.summary;
        summary.guarantees[0].evidence = (1..=10).map(|number| format!("offence {number}")).collect();
        summary.guarantees.extend([
            entry(Guarantee::G4, &[]),
            entry(Guarantee::G12, &["not selected".to_owned()]),
            entry(Guarantee::G14, &["not selected".to_owned()]),
        ]);
        summary.headlines = vec![["The server ended with status 1."; 4].join(" "), "one\ntwo".to_owned()];
        let details = vec![format!("after {}", "\\x81".repeat(40)), "<Close> without a code".to_owned()];
        let lapse = Lapse { clause: Clause::CloseAfterOffence, count: 12, details };
        summary.lax = vec![LaxEntry::new(&lapse)];
        conformance
    }

    fn text(conformance: &Conformance) -> String {
        ConformReport { conformance, palette: Palette::Plain }.to_string()
    }

    #[test]
    fn junit_counts_and_escapes() {
        let xml = junit(&conformance());
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("conform ws://h/?a&amp;b"), "{xml}");
        assert!(xml.contains("&lt;push&gt; \\u{1} &amp; &quot;echo&quot;"), "{xml}");
        assert!(
            xml.contains("<skipped message=\"undecided: a doubt\"/>") && !xml.contains("<system-out>"),
            "{xml}"
        );
    }

    #[test]
    fn lax_departures_are_no_failures_in_junit_and_headlines_are_the_suites_output() {
        let xml = junit(&full());
        assert!(xml.contains("tests=\"6\" failures=\"1\" skipped=\"4\" errors=\"0\""), "{xml}");
        let case = xml.lines().position(|line| line.contains("name=\"G12 ")).unwrap();
        let case: String = xml.lines().skip(case).take(3).map(|line| format!("{line}\n")).collect();
        assert!(case.contains(
            "<skipped message=\"not exercised: not selected\"/><system-out>lax: RFC 6455 §7.1.7: "
        ));
        assert!(
            case.contains(": 12 times\n  after ")
                && case.contains("\n  &lt;Close&gt; without a code</system-out></testcase>")
        );
        assert!(
            xml.contains("message=\"not exercised: no situation arose\"") && xml.contains("offence 10"),
            "{xml}"
        );
        assert!(xml.ends_with(" status 1.\n\none\ntwo</system-out>\n</testsuite>\n"), "{xml}");
        assert_eq!(xml.matches("<system-out>").count(), 2);
    }

    #[test]
    fn the_text_has_headlines_table_lax_counts_and_command_in_this_order() {
        let text = text(&full());
        let expected = "\
ws://h/?a&b, a push every 2s: 120 pushes in 9 cycles, 20 s
answers within 1.0 ms, the harness itself at most 2.0 ms late (99 in 100 times)

The server ended with status 1. The server ended with status 1. The server ended with status 1. The
server ended with status 1.

one
two

  G1   Subscribed by default          VIOLATED            1 violation
         promised: A new connection is subscribed.
         offence 1
         offence 2
         offence 3
         offence 4
         offence 5
         offence 6
         offence 7
         offence 8
         and 2 more in the JSON
  G2   Silence while unsubscribed     held                1,240 times
         12 times
  G3   Every subscriber, every cycle  undecided                1 time
         a doubt
  G4   At most once                   not exercised
         no situation arose
  not asked for: G12, G14

lax, by the letter of a standard (they do not count; --strict counts them):
  RFC 6455 §7.1.7  a client that breaks a rule gets a Close before the connection ends: 12 times
         after
         \\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x8
         1\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81\\x81
         <Close> without a code

1 held, 1 VIOLATED, 1 undecided, 1 not exercised, 2 not asked for, 1 lax
  repeat        carillon-sim conform ws://h/?a&b --period 2s
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn the_text_states_the_promise_and_the_evidence_of_a_violation() {
        let text = text(&conformance());
        assert!(text.contains("promised: A new connection is subscribed."), "{text}");
        assert!(text.contains("\n\n1 held, 1 VIOLATED, 1 undecided, 0 not exercised\n"), "{text}");
        assert!(!text.contains("lax") && !text.contains("not asked for"), "{text}");
    }

    #[test]
    fn an_insecure_trial_says_so_in_its_first_lines() {
        let mut conformance = full();
        assert!(!text(&conformance).contains(INSECURE));
        conformance.summary.insecure = true;
        let text = text(&conformance);
        assert!(text.split("The server ended").next().unwrap().contains(INSECURE), "{text}");
    }

    #[test]
    fn one_violation_makes_the_whole_trial_violated() {
        assert_eq!(conformance().verdict(), Verdict::Violated);
        let mut nothing = conformance();
        nothing.summary.guarantees.retain(|entry| entry.verdict == Verdict::Undecided);
        assert_eq!(nothing.verdict(), Verdict::Undecided);
    }
}
