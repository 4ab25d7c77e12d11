//! A comparison as text.

use std::fmt::{self, Display, Formatter};

use super::noise::NoiseSource;
use super::summary::{ChangeVerdict, CompareSummary, FigureEntry};
use crate::metrics::Unit;
use crate::oracle::verdict::Verdict;
use crate::report::Palette;

/// A comparison as a table. Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct ComparisonTable<'a> {
    /// The comparison.
    pub summary: &'a CompareSummary,
    /// Whether the text is coloured.
    pub palette: Palette,
}

impl Display for ComparisonTable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        writeln!(f, "base: {}\nnew:  {}\n", summary.base.join(", "), summary.new.join(", "))?;
        let [figure, base, new, change, noise] = ["figure", "base", "new", "change", "noise"];
        writeln!(f, "  {figure:<24}{base:>12}{new:>12}{change:>10}  {noise:<12} verdict")?;
        summary.figures.iter().try_for_each(|entry| self.row(entry, f))?;
        self.sentences(f)
    }
}

impl ComparisonTable<'_> {
    fn row(&self, entry: &FigureEntry, f: &mut Formatter<'_>) -> fmt::Result {
        let number =
            |number: Option<f64>| number.map_or("–".to_owned(), |number| entry.unit().format(number));
        let change = match (entry.change_percent, entry.change) {
            (Some(percent), _) => format!("{percent:+.1} %"),
            (None, change) => number(change),
        };
        let noise = entry.noise.map_or("unknown".to_owned(), |noise| match entry.base {
            Some(base) if base != 0.0 => format!("± {:.1} %", 100.0 * noise / base.abs()),
            _ => format!("± {}", entry.unit().format(noise)),
        });
        let figure = &entry.figure;
        writeln!(
            f,
            "  {figure:<24}{:>12}{:>12}{change:>10}  {noise:<12} {}",
            number(entry.base),
            number(entry.new),
            self.verdict(entry),
        )
    }

    fn verdict(&self, entry: &FigureEntry) -> String {
        let limit = entry.limit.as_deref().map_or(String::new(), |limit| format!(" ({limit})"));
        match entry.change_verdict {
            ChangeVerdict::Changed => format!("changed{limit}"),
            ChangeVerdict::Unchanged => format!("unchanged{limit}"),
            ChangeVerdict::WithinNoise => format!("within noise{limit}"),
            ChangeVerdict::NoData => self.palette.paint(Verdict::Violated, &format!("NO DATA{limit}")),
            ChangeVerdict::Regressed => self.palette.paint(Verdict::Violated, &format!("REGRESSED{limit}")),
        }
    }

    fn sentences(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        if summary.figures.iter().any(|entry| entry.noise_source == NoiseSource::Samples) {
            let (noise, cure) = ("that within one run of each side", "give --base and --new several files");
            writeln!(f, "\nNoise is {noise}; the noise between runs is unknown and larger: {cure}.")?;
        }
        if summary.verdict == Verdict::Violated {
            let sentence = "A guarantee was VIOLATED in a new run; see its report.";
            writeln!(f, "\n{}", self.palette.paint(Verdict::Violated, sentence))?;
        }
        let failures: Vec<_> = summary
            .figures
            .iter()
            .filter(|entry| entry.is_failure())
            .map(|entry| entry.figure.as_str())
            .collect();
        let limits = summary.figures.iter().filter(|entry| entry.limit.is_some()).count();
        match (failures.as_slice(), limits) {
            ([], 0) => writeln!(f, "\nno limit was given: --fail-on 'push_latency:p(99)>+10%'"),
            ([], _) => writeln!(f, "\n{}", self.palette.paint(Verdict::Held, "no regression")),
            (failures, _) => {
                let sentence = format!("REGRESSED: {}", failures.join(", "));
                writeln!(f, "\n{}", self.palette.paint(Verdict::Violated, &sentence))
            }
        }
    }
}

impl FigureEntry {
    fn unit(&self) -> Unit {
        Unit::named(&self.unit)
    }
}
