//! Limits: how much worse a figure may get, such as `push_latency:p(99)>+10%` or `lost:count>0`.

use std::fmt;
use std::str::FromStr;

use crate::metrics::scanner::Scanner;
use crate::metrics::{Aggregate, Comparison, Metric};

/// The longer operators come first: `>=` begins with `>`.
const COMPARISONS: [Comparison; 4] =
    [Comparison::AtLeast, Comparison::AtMost, Comparison::More, Comparison::Less];

/// A change of a figure that counts as a regression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The metric.
    pub metric: Metric,
    /// How the metric becomes one number.
    pub aggregate: Aggregate,
    comparison: Comparison,
    number: f64,
    scale: Scale,
}

/// The unit of a change.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// Units of the figure: the suffix, and the value of one unit.
    Absolute(&'static str, f64),
    /// Per cent of the base.
    Relative,
}

impl Limit {
    /// Whether the change from `base` to `new`, both in the unit of the metric, crosses the limit.
    ///
    /// If the base is 0, any change is infinite in percent, and no change is 0 %.
    pub fn is_crossed(&self, base: f64, new: f64) -> bool {
        let change = new - base;
        match self.scale {
            Scale::Absolute(_, worth) => self.comparison.holds(change, self.number * worth),
            Scale::Relative => self.comparison.holds(percent(base, change), self.number),
        }
    }
}

/// The change in percent of the base.
pub(super) fn percent(base: f64, change: f64) -> f64 {
    if change == 0.0 { 0.0 } else { 100.0 * change / base.abs() }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, aggregate, comparison, number, scale } = self;
        let suffix = match scale {
            Scale::Absolute(suffix, _) => suffix,
            Scale::Relative => "%",
        };
        write!(f, "{metric}:{aggregate}{}{number:+}{suffix}", comparison.name())
    }
}

impl FromStr for Limit {
    type Err = String;

    /// # Errors
    ///
    /// A sentence with the column of the mistake, what is there, and what is allowed.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut scanner = Scanner::new(text);
        let (metric, aggregate, comparison, number) = scanner.bound(&COMPARISONS, Comparison::name)?;
        let scale = if scanner.takes('%') {
            Scale::Relative
        } else {
            let (suffix, worth) = scanner.suffix(metric.unit(aggregate))?;
            Scale::Absolute(suffix, worth)
        };
        scanner.finish()?;
        Ok(Self { metric, aggregate, comparison, number, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_relative_or_absolute() {
        for (text, base, new, crossed) in [
            ("push_latency:p(99)>+10%", 100.0, 111.0, true),
            ("push_latency:p(99)>+10%", 100.0, 110.0, false),
            ("push_latency:p(99)>=10%", 100.0, 110.0, true),
            ("push_latency:p(99) > 5ms", 100.0, 106.0, true),
            ("push_latency:p(99)>0.1s", 100.0, 106.0, false),
            ("deliveries:rate<-5%", 1000.0, 940.0, true),
            ("deliveries:rate<-5%", 1000.0, 960.0, false),
            ("deliveries:rate<=-50/s", 1000.0, 950.0, true),
            ("lost:count>0", 0.0, 1.0, true),
            ("lost:count>+10%", 0.0, 1.0, true),
            ("lost:count>+10%", 0.0, 0.0, false),
            ("server_memory:growth>+10%", -10.0, -8.0, true),
        ] {
            assert_eq!(
                text.parse::<Limit>().unwrap().is_crossed(base, new),
                crossed,
                "{text}: {base} to {new}"
            );
        }
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        for text in
            ["push_latency:p(99.9)>+10%", "lost:count>+0", "deliveries:rate<=-50/s", "spread:max>=+0.5s"]
        {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit.to_string(), text);
        }
    }

    #[test]
    fn an_error_names_the_column_and_the_allowed_words() {
        for (text, column, words) in [
            ("latency>10%", 1, "there is no metric \"latency\""),
            ("echo:p(99)==10%", 11, "expected one of >= <= > <"),
            ("echo:p(99)>ten", 12, "expected a number"),
            ("echo:p(99)>10%%", 15, "expected the end"),
            ("echo:p(99)>10MB", 14, "expected one of ms, us, s, m"),
        ] {
            let error = text.parse::<Limit>().unwrap_err();
            assert!(
                error.starts_with(&format!("column {column}: ")) && error.contains(words),
                "{text}: {error}"
            );
        }
    }
}
