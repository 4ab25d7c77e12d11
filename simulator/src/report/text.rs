//! The report of a run as text, at most 100 columns wide.

use std::fmt::{self, Display, Formatter};

use super::columns::{guarantee_columns, guarantee_head, labelled_line};
use super::coverage::CoverageTable;
use super::entries::LaxEntry;
use super::format::{count_besides, count_verdicts, counted, grouped, millis};
use super::lax::LaxList;
use super::palette::Palette;
use super::run::Run;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Race;
use crate::oracle::verdict::Verdict;
use crate::units::format_span;
use crate::world::Outcome;

/// The report of a run. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct TextReport<'a> {
    /// The run.
    pub run: Run<'a>,
    /// Its outcome.
    pub outcome: &'a Outcome,
    /// Whether the text is coloured.
    pub palette: Palette,
}

impl Display for TextReport<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, &self.run.repeat_line())
    }
}

/// See [`TextReport::repeated_by`].
struct RepeatedBy<'a>(TextReport<'a>, &'a str);

impl Display for RepeatedBy<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}

impl<'a> TextReport<'a> {
    /// The report of a run that `command` repeats.
    pub fn repeated_by(self, command: &'a str) -> impl Display + use<'a> {
        RepeatedBy(self, command)
    }

    fn write(&self, f: &mut Formatter<'_>, repeat: &str) -> fmt::Result {
        self.header(f)?;
        self.guarantees(f)?;
        if self.run.scenario.has_hazards() {
            writeln!(f, "{}", CoverageTable { coverage: &self.outcome.score.coverage })?;
        }
        self.counts(f)?;
        self.speeds(f)?;
        labelled_line(f, "repeat", repeat)?;
        for remark in &self.outcome.score.remarks {
            labelled_line(f, "remark", remark)?;
        }
        let entries = LaxEntry::all(&self.outcome.score.lapses);
        if !entries.is_empty() {
            write!(f, "\n{}", LaxList { entries: &entries, has_strict: false })?;
        }
        self.verdict(f)
    }

    fn header(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scenario = self.run.scenario;
        writeln!(
            f,
            "scenario {}: {}, {}, a push every {}; {} arm, seed {}\n",
            scenario.name,
            counted(u64::from(scenario.clients), "client"),
            format_span(scenario.duration),
            format_span(scenario.server.period),
            self.run.arm,
            self.run.seed,
        )
    }

    fn guarantees(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}{:>13}{:>13}", guarantee_head(), "exercised", "violations")?;
        for guarantee in Guarantee::ALL {
            let tally = self.outcome.score.tallies[guarantee.index()];
            writeln!(
                f,
                "{}{:>13}{:>13}",
                guarantee_columns(self.palette, &guarantee.to_string(), guarantee.name(), Verdict::of(tally)),
                grouped(tally.exercised),
                grouped(tally.violations),
            )?;
        }
        writeln!(f)
    }

    fn counts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let score = &self.outcome.score;
        let races = Race::ALL.map(|race| format!("{} {}", race.name(), grouped(score.races[race as usize])));
        labelled_line(f, "push against", &races.join(", "))?;
        let cycles = counted(self.outcome.cycles, "cycle");
        labelled_line(f, "pushes", &format!("{cycles}, {} deliveries", grouped(score.deliveries)))?;
        labelled_line(f, "latency", &self.latency())
    }

    fn latency(&self) -> String {
        let latency = &self.outcome.score.latency;
        if latency.is_empty() {
            return "nothing was delivered".to_owned();
        }
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
        let shown = quantiles.map(|(name, at)| format!("{name} {}", millis(latency.value_at_quantile(at))));
        format!("{}, max {}", shown.join(", "), millis(latency.max()))
    }

    fn speeds(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (run, outcome) = (&self.run, self.outcome);
        let wall = run.wall.as_secs_f64();
        let virtual_time = clock(outcome.virtual_time.as_secs());
        let compression = grouped(run.compression(outcome).round() as u64);
        labelled_line(
            f,
            "virtual time",
            &format!("{virtual_time} in {wall:.3} s of wall time: {compression} ×"),
        )?;
        let deliveries = grouped(run.per_second(outcome.score.deliveries as f64).round() as u64);
        let events = grouped(run.per_second(outcome.events as f64).round() as u64);
        labelled_line(f, "speed", &format!("{deliveries} deliveries/s, {events} events/s"))?;
        labelled_line(f, "digest", &format!("{:016x}", outcome.digest))
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdicts = self.outcome.score.tallies.map(Verdict::of);
        let lax = count_besides(0, self.outcome.score.lapses.len());
        let sentence = format!("{}{lax}", count_verdicts(&verdicts, verdicts.len(), "VIOLATED"));
        writeln!(f, "\n{}", self.palette.paint(Verdict::of_run(&self.outcome.score), &sentence))
    }
}

/// Seconds as `24:00:07`.
fn clock(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
