//! The report of a sweep, as text and as JSON.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::columns::{guarantee_columns, guarantee_head};
use super::coverage::{CoverageEntry, CoverageTable};
use super::entries::LaxEntry;
use super::format::{counted, grouped, moment, subject};
use super::lax::LaxList;
use super::numbers::rounded;
use super::palette::Palette;
use super::run::Run;
use super::summary::{Races, SCHEMA_VERSION};
use crate::hunt::coverage_promises::Promise;
use crate::hunt::sweep::{Cause, FailedSeed, Totals};
use crate::oracle::coverage::Hazard;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Race;
use crate::oracle::verdict::Verdict;
use crate::scenario::Scenario;
use crate::units::format_span;

/// The most failing seeds that the last line names.
const NAMED: usize = 20;

/// A failed seed as text: its guarantees, the first violation, and the command line that repeats it.
pub fn describe_failure(run: &Run<'_>, failed: &FailedSeed) -> String {
    let repeat = run.repeat_line();
    match &failed.cause {
        Cause::Crashed(sentence) => format!("seed {}: {sentence}\n    {repeat}\n", failed.seed),
        Cause::Violated { kinds, first } => {
            let kinds: Vec<_> =
                kinds.iter().map(|(guarantee, fault)| format!("{guarantee} {}", fault.name())).collect();
            format!(
                "seed {}: {}\n    {}, {}: {} {}: {}\n    {repeat}\n",
                failed.seed,
                kinds.join(", "),
                moment(first.at),
                subject(first.client),
                first.guarantee,
                first.fault.name(),
                first.detail,
            )
        }
    }
}

/// The report of a sweep as text. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct SweepReport<'a> {
    /// Arm, scenario and first seed of the sweep, and the wall time of all its runs.
    pub run: Run<'a>,
    /// The number of threads.
    pub jobs: usize,
    /// The sums over all seeds.
    pub totals: &'a Totals,
    /// Whether the text is coloured.
    pub palette: Palette,
}

impl SweepReport<'_> {
    /// The pairs of hazard and guarantee that the scenario promised and that never occurred; `None` if a sweep of
    /// this size promises none.
    pub fn broken_promises(&self) -> Option<Vec<(Hazard, Guarantee)>> {
        let promise = Promise::of(self.run.scenario)?;
        let holds = promise.holds(self.run.scenario, self.totals.seeds);
        holds.then(|| promise.broken(self.run.arm, &self.totals.coverage))
    }

    fn header(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (scenario, totals) = (self.run.scenario, self.totals);
        writeln!(
            f,
            "sweep of {}: {} from {}, each {}, {}, a push every {}; {} arm, {}\n",
            scenario.name,
            counted(totals.seeds, "seed"),
            self.run.seed,
            counted(u64::from(scenario.clients), "client"),
            format_span(scenario.duration),
            format_span(scenario.server.period),
            self.run.arm,
            counted(self.jobs as u64, "thread"),
        )
    }

    fn guarantees(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (exercised, violations, failing) = ("exercised", "violations", "failing seeds");
        writeln!(f, "{}{exercised:>15}{violations:>13}{failing:>15}", guarantee_head())?;
        for guarantee in Guarantee::ALL {
            let tally = self.totals.tallies[guarantee.index()];
            let (id, verdict) = (guarantee.to_string(), Verdict::of(tally));
            let columns = guarantee_columns(self.palette, &id, guarantee.name(), verdict);
            let [exercised, violations, failing] =
                [tally.exercised, tally.violations, self.totals.failing[guarantee.index()]].map(grouped);
            writeln!(f, "{columns}{exercised:>15}{violations:>13}{failing:>15}")?;
        }
        writeln!(f)
    }

    fn counts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let totals = self.totals;
        let races = Race::ALL.map(|race| format!("{} {}", race.name(), grouped(totals.races[race as usize])));
        writeln!(f, "  push against  {}", races.join(", "))?;
        let [deliveries, events] = [totals.deliveries, totals.events].map(grouped);
        writeln!(
            f,
            "  in all        {deliveries} deliveries, {events} events in {:.1} s",
            self.run.wall.as_secs_f64()
        )?;
        let events = grouped(self.run.per_second(totals.events as f64).round() as u64);
        writeln!(
            f,
            "  speed         {:.1} seeds/s, {events} events/s",
            self.run.per_second(totals.seeds as f64)
        )
    }

    fn coverage(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let promised =
            Promise::of(self.run.scenario).map_or(0, |promise| promise.cells(self.run.arm).count());
        match (Promise::of(self.run.scenario), self.broken_promises()) {
            (None, _) => writeln!(f, "\nthis scenario promises no coverage"),
            (Some(promise), None) => writeln!(
                f,
                "\nso small a sweep promises no coverage: it needs {}, {}, {} and 24 cycles",
                counted(promise.seeds, "seed"),
                counted(u64::from(crate::hunt::coverage_promises::CLIENTS), "client"),
                format_span(crate::hunt::coverage_promises::DURATION),
            ),
            (_, Some(broken)) if broken.is_empty() => writeln!(f, "\nall {promised} promised cells were met"),
            (_, Some(broken)) => {
                let sentence = format!("{} of {promised} promised cells were NEVER MET:", broken.len());
                writeln!(f, "\n{}", self.palette.paint(Verdict::Violated, &sentence))?;
                broken.chunk_by(|(one, _), (other, _)| one == other).try_for_each(|row| {
                    let guarantees: Vec<_> = row.iter().map(|(_, guarantee)| guarantee.to_string()).collect();
                    writeln!(f, "  {} × {}", row[0].0.name(), guarantees.join(", "))
                })
            }
        }
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (seeds, failures) = (grouped(self.totals.seeds), &self.totals.failures);
        if failures.is_empty() {
            let sentence = format!("{seeds} of {seeds} seeds held");
            return writeln!(f, "{}", self.palette.paint(Verdict::Held, &sentence));
        }
        let sentence = format!("{} of {seeds} seeds FAILED:", grouped(failures.len() as u64));
        let named: Vec<_> = failures.iter().take(NAMED).map(|failed| failed.seed.to_string()).collect();
        let more = if failures.len() > NAMED { " and more" } else { "" };
        writeln!(f, "{} {}{more}", self.palette.paint(Verdict::Violated, &sentence), named.join(", "))
    }
}

impl Display for SweepReport<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.header(f)?;
        self.guarantees(f)?;
        writeln!(f, "{}", CoverageTable { coverage: &self.totals.coverage })?;
        self.counts(f)?;
        self.coverage(f)?;
        let entries = LaxEntry::all(&self.totals.lapses);
        if !entries.is_empty() {
            writeln!(f, "\n{}", LaxList { entries: &entries, has_strict: false })?;
        }
        self.verdict(f)
    }
}

fn cell_name((hazard, guarantee): (Hazard, Guarantee)) -> String {
    format!("{} × {guarantee}", hazard.name())
}

/// The report of a sweep: the object that `--json` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepSummary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The subcommand, `sweep`.
    pub command: Cow<'static, str>,
    /// The arm that ran it: `core` or `paused`.
    pub arm: Cow<'static, str>,
    /// The name of the scenario.
    pub scenario: String,
    /// The number of clients in each seed.
    pub clients: u32,
    /// The time between two pushes, in seconds.
    pub period_seconds: f64,
    /// The virtual time of each seed, in seconds.
    pub duration_seconds: f64,
    /// The first seed; in JSON a string.
    #[serde(with = "super::seed")]
    pub from: u64,
    /// The number of seeds that were run, in ascending order from the first.
    pub seeds: u64,
    /// The number of threads.
    pub jobs: usize,
    /// Wall time, in seconds.
    pub wall_seconds: f64,
    /// Seeds per second of wall time.
    pub seeds_per_second: f64,
    /// The number of simulated events.
    pub events: u64,
    /// Simulated events per second of wall time.
    pub events_per_second: f64,
    /// The number of pushes that reached a client.
    pub deliveries: u64,
    /// The verdict on all seeds: `held` or `violated`.
    pub verdict: Verdict,
    /// The sums for each guarantee, G1 first.
    pub guarantees: Vec<SweepEntry>,
    /// Departures from the letter of a standard that hurt no one, over all seeds. They do not count for the verdict.
    #[serde(default)]
    pub lax: Vec<LaxEntry>,
    /// How many due instants fell into a change (such as a connect) whose outcome was open.
    pub races: Races,
    /// How often each guarantee was exercised on a connection that had met a hazard; without zeros.
    pub coverage: Vec<CoverageEntry>,
    /// The promised pairs of hazard and guarantee that never occurred; `null` if a sweep of this size promises
    /// none.
    pub broken_promises: Option<Vec<String>>,
    /// The failed seeds, in ascending order.
    pub failures: Vec<FailureEntry>,
}

/// The sum for one guarantee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepEntry {
    /// The guarantee, `G1` to `G15`.
    pub id: String,
    /// The verdict: `held`, `violated` or `not_exercised`.
    pub verdict: Verdict,
    /// How often the guarantee was exercised: its premise held, and a wrong server would have been convicted.
    pub exercised: u64,
    /// How often the guarantee was broken.
    pub violations: u64,
    /// The number of seeds in which it was broken.
    pub failing_seeds: u64,
}

/// A failed seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureEntry {
    /// The seed; in JSON a string.
    #[serde(with = "super::seed")]
    pub seed: u64,
    /// The guarantees that broke; empty if the seed could not be run.
    pub guarantees: Vec<String>,
    /// The first violation, or why the seed could not be run.
    pub detail: String,
}

impl SweepSummary {
    /// The summary of what `report` prints.
    pub fn new(report: &SweepReport<'_>) -> Self {
        let (run, totals) = (&report.run, report.totals);
        let scenario: &Scenario = run.scenario;
        let seconds = |span: Duration| rounded(span.as_secs_f64(), 3);
        let broken = report.broken_promises();
        Self {
            schema_version: SCHEMA_VERSION,
            command: "sweep".into(),
            arm: run.arm.name().into(),
            scenario: scenario.name.clone(),
            clients: scenario.clients,
            period_seconds: seconds(scenario.server.period),
            duration_seconds: seconds(scenario.duration),
            from: run.seed,
            seeds: totals.seeds,
            jobs: report.jobs,
            wall_seconds: seconds(run.wall),
            seeds_per_second: rounded(run.per_second(totals.seeds as f64), 1),
            events: totals.events,
            events_per_second: run.per_second(totals.events as f64).round(),
            deliveries: totals.deliveries,
            verdict: if totals.is_violated() { Verdict::Violated } else { Verdict::Held },
            guarantees: Guarantee::ALL.map(|guarantee| SweepEntry::new(guarantee, totals)).into(),
            lax: LaxEntry::all(&totals.lapses),
            races: Races::new(totals.races),
            coverage: CoverageEntry::all(&totals.coverage),
            broken_promises: broken.map(|cells| cells.into_iter().map(cell_name).collect()),
            failures: totals.failures.iter().map(FailureEntry::new).collect(),
        }
    }
}

impl SweepEntry {
    fn new(guarantee: Guarantee, totals: &Totals) -> Self {
        let tally = totals.tallies[guarantee.index()];
        Self {
            id: guarantee.to_string(),
            verdict: Verdict::of(tally),
            exercised: tally.exercised,
            violations: tally.violations,
            failing_seeds: totals.failing[guarantee.index()],
        }
    }
}

impl FailureEntry {
    fn new(failed: &FailedSeed) -> Self {
        let (guarantees, detail) = match &failed.cause {
            Cause::Crashed(sentence) => (Vec::new(), sentence.clone()),
            Cause::Violated { kinds, first } => {
                let mut names: Vec<_> = kinds.iter().map(|(guarantee, _)| guarantee.to_string()).collect();
                names.dedup();
                (names, format!("{} {}: {}", first.guarantee, first.fault.name(), first.detail))
            }
        };
        Self { seed: failed.seed, guarantees, detail }
    }
}

#[cfg(test)]
mod tests {
    use carillon_server::Timestamp;

    use super::*;
    use crate::oracle::clause::{Clause, Lapse};
    use crate::oracle::score::{Fault, Violation};
    use crate::scenario::Arm;

    fn report<'a>(scenario: &'a Scenario, totals: &'a Totals) -> SweepReport<'a> {
        let run = Run { arm: Arm::Core, scenario, seed: 1, wall: Duration::from_secs(10) };
        SweepReport { run, jobs: 2, totals, palette: Palette::Plain }
    }

    fn storm() -> Scenario {
        Scenario::named("storm", 200, Duration::from_secs(7200), Duration::from_secs(300), 1).unwrap()
    }

    fn failed() -> FailedSeed {
        let first = Violation {
            guarantee: Guarantee::G3,
            fault: Fault::Lost,
            at: Timestamp::ZERO + Duration::from_secs(300),
            client: Some(7),
            detail: "cycle 1 never came".to_owned(),
        };
        let kinds = [(Guarantee::G3, Fault::Lost), (Guarantee::G3, Fault::Late)].into();
        FailedSeed { seed: 5, cause: Cause::Violated { kinds, first } }
    }

    #[test]
    fn a_failed_seed_is_described_with_its_repeat_line() {
        let scenario = storm();
        let totals = Totals::default();
        let run = Run { seed: 5, ..report(&scenario, &totals).run };
        let expected = "\
seed 5: G3 late, G3 lost
    day 1 00:05:00.000, client 7: G3 lost: cycle 1 never came
    cargo sim run --scenario storm --clients 200 --for 2h --seed 5
";
        assert_eq!(describe_failure(&run, &failed()), expected);
    }

    #[test]
    fn the_last_lines_say_what_is_wrong() {
        let scenario = storm();
        let held = Totals { seeds: 30, ..Totals::default() };
        let text = report(&scenario, &held).to_string();
        assert!(text.contains("promised cells were NEVER MET:\n  clock jump × G1, G2, "), "{text}");
        assert!(text.ends_with("\n30 of 30 seeds held\n"), "{text}");
        let small = Totals { seeds: 5, ..Totals::default() };
        assert!(report(&scenario, &small).to_string().contains("so small a sweep promises no coverage"));
        let broken = Totals { seeds: 30, failures: vec![failed()], ..Totals::default() };
        let text = report(&scenario, &broken).to_string();
        assert!(text.ends_with("\n1 of 30 seeds FAILED: 5\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let lapse = Lapse { clause: Clause::MethodIsGet, count: 2, details: vec!["POST got 101".to_owned()] };
        let lax = Totals { seeds: 5, lapses: vec![lapse], ..Totals::default() };
        let text = report(&scenario, &lax).to_string();
        assert!(text.contains("\n\nlax, by the letter of a standard (they do not count):\n"), "{text}");
        assert!(text.ends_with("\n         POST got 101\n\n5 of 5 seeds held\n"), "{text}");
    }

    #[test]
    fn the_json_has_the_same_figures() {
        let scenario = storm();
        let mut broken = Totals { seeds: 30, failures: vec![failed()], ..Totals::default() };
        broken.failing[Guarantee::G3.index()] = 1;
        let json = serde_json::to_value(SweepSummary::new(&report(&scenario, &broken))).unwrap();
        assert_eq!(json["verdict"], "violated");
        assert_eq!(json["guarantees"][2]["failing_seeds"], 1);
        assert_eq!((&json["from"], &json["failures"][0]["seed"]), (&"1".into(), &"5".into()));
        assert_eq!(json["failures"][0]["guarantees"], serde_json::json!(["G3"]));
        assert_eq!(json["seeds_per_second"], 3.0);
        assert_eq!(json["broken_promises"][0], "clock jump × G1");
    }
}
