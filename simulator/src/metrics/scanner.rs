//! Reads thresholds from left to right. Every error names its column.

use super::metric::{Aggregate, Metric};
use super::unit::Unit;

/// Reads the parts of a text one by one, and tracks the column.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, rest: text.trim_start() }
    }

    /// Reads a metric with its aggregate, one of these comparisons, and a number. Blanks may surround the comparison.
    pub(crate) fn bound<T: Copy>(
        &mut self,
        comparisons: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<(Metric, Aggregate, T, f64), String> {
        let (metric, aggregate) = self.figure()?;
        self.skip_blanks();
        let comparison = self.one_of(comparisons, name)?;
        self.skip_blanks();
        Ok((metric, aggregate, comparison, self.number()?))
    }

    /// Reads the unit of the preceding number. Without one, the first suffix of `unit` applies.
    pub(crate) fn suffix(&mut self, unit: Unit) -> Result<(&'static str, f64), String> {
        let before = self.rest;
        let name = self.take(|character| !character.is_whitespace());
        if name.is_empty() {
            return Ok(("", unit.suffixes()[0].1));
        }
        unit.suffixes().iter().find(|(known, _)| *known == name).copied().ok_or_else(|| {
            let names: Vec<_> =
                unit.suffixes().iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
            let allowed = match names.as_slice() {
                [] => "expected none".to_owned(),
                names => format!("expected one of {}", names.join(", ")),
            };
            self.wrong(before, &format!("there is no unit {name:?} here; {allowed}"))
        })
    }

    /// Reads `mark`, if it comes next, and returns whether it did.
    pub(crate) fn takes(&mut self, mark: char) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Checks that only blanks are left.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        self.skip_blanks();
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong(self.rest, "expected the end")) }
    }

    /// Reads a metric, a colon and an aggregate of the metric.
    fn figure(&mut self) -> Result<(Metric, Aggregate), String> {
        let before = self.rest;
        let name = self.take(|character| character.is_ascii_alphanumeric() || character == '_');
        let metric = Metric::named(name).ok_or_else(|| {
            let names = Metric::ALL.map(Metric::name).join(", ");
            self.wrong(before, &format!("there is no metric {name:?}; expected one of {names}"))
        })?;
        let Some(rest) = self.rest.strip_prefix(':') else {
            return Err(self.wrong(
                self.rest,
                &format!("expected a colon and an aggregate, such as {metric}:{}", example(metric)),
            ));
        };
        self.rest = rest;
        let before = self.rest;
        let name = self.take(|character| character.is_ascii_alphanumeric() || "().".contains(character));
        let is_allowed = |aggregate: &Aggregate| {
            let written = aggregate.to_string();
            let written = if written.starts_with("p(") { "p(N)" } else { &written };
            metric.aggregates().contains(&written)
        };
        match Aggregate::named(name).filter(is_allowed) {
            Some(aggregate) => Ok((metric, aggregate)),
            None => {
                let allowed = metric.aggregates().join(", ");
                Err(self.wrong(
                    before,
                    &format!(
                        "{metric} has no aggregate {name:?}; expected one of {allowed} (N from 0 to 100)"
                    ),
                ))
            }
        }
    }

    /// Reads the first of `all` whose name comes next.
    fn one_of<T: Copy>(&mut self, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, String> {
        match all.iter().find(|one| self.rest.starts_with(name(**one))) {
            Some(found) => {
                self.rest = &self.rest[name(*found).len()..];
                Ok(*found)
            }
            None => {
                let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
                Err(self.wrong(self.rest, &format!("expected one of {}", names.join(" "))))
            }
        }
    }

    /// Reads a decimal number, with or without a sign.
    fn number(&mut self) -> Result<f64, String> {
        let before = self.rest;
        let sign = self.rest.strip_prefix(['+', '-']);
        self.rest = sign.unwrap_or(self.rest);
        let digits = self.take(|character| character.is_ascii_digit() || character == '.');
        let number: f64 =
            digits.parse().map_err(|_| self.wrong(before, "expected a number, such as 50 or 0.5"))?;
        Ok(if before.starts_with('-') { -number } else { number })
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !belongs(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn wrong(&self, place: &str, sentence: &str) -> String {
        let before = &self.text[..self.text.len() - place.len()];
        format!("column {}: {sentence}", before.chars().count() + 1)
    }
}

fn example(metric: Metric) -> &'static str {
    if metric.aggregates().contains(&"p(N)") { "p(99)" } else { "count" }
}
