//! The number of clients over time, such as `1000,30s;10000,5m;0,10s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::units::{format_count, format_span, parse_count, parse_span};

/// Stages. In each stage the number of clients changes linearly to the stage's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<(u32, Duration)>);

impl Plan {
    /// A plan with a ramp to `clients` in a tenth of the duration, at most 30 seconds, and a constant number after
    /// it.
    pub fn steady(clients: u32, duration: Duration) -> Self {
        let ramp = (duration / 10).min(Duration::from_secs(30));
        Self(vec![(clients, ramp), (clients, duration - ramp)])
    }

    /// A plan of stages: the number of clients at the end of each, and the duration of each.
    pub fn stages(stages: Vec<(u32, Duration)>) -> Self {
        Self(stages)
    }

    /// The planned number of clients at this time after the start.
    pub fn clients_at(&self, after: Duration) -> u32 {
        let (mut before, mut start) = (0, Duration::ZERO);
        for (clients, span) in &self.0 {
            let into = after.saturating_sub(start);
            if into < *span {
                let share = into.as_secs_f64() / span.as_secs_f64();
                let change = (f64::from(*clients) - f64::from(before)) * share;
                return (f64::from(before) + change).round() as u32;
            }
            (before, start) = (*clients, start + *span);
        }
        before
    }

    /// When the plan no longer has the client with this index, as a time after the start. `after` is a time at
    /// which the plan has the client.
    pub fn leaves_at(&self, index: u32, after: Duration) -> Duration {
        let (mut before, mut start) = (0, Duration::ZERO);
        for (clients, span) in &self.0 {
            let end = start + *span;
            if end > after && *clients <= index {
                let fall = f64::from(before.max(*clients + 1) - *clients);
                let share = f64::from(before.max(index + 1) - index) / fall;
                return (start + span.mul_f64(share.min(1.0))).max(after);
            }
            (before, start) = (*clients, end);
        }
        start
    }

    /// The largest number of clients at any time.
    pub fn most(&self) -> u32 {
        self.0.iter().map(|(clients, _)| *clients).max().unwrap_or_default()
    }

    /// The duration of the whole plan.
    pub fn duration(&self) -> Duration {
        self.0.iter().map(|(_, span)| *span).sum()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<String> = self
            .0
            .iter()
            .map(|(clients, span)| format!("{},{}", format_count(*clients), format_span(*span)))
            .collect();
        f.write_str(&stages.join(";"))
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "write stages of a number of clients and a time, such as 1000,30s;10k,5m;0,10s".to_owned();
        let stages: Result<Vec<_>, String> = text
            .split(';')
            .map(|stage| {
                let (clients, span) = stage.split_once(',').ok_or_else(expected)?;
                Ok((parse_count(clients.trim())?, parse_span(span.trim())?))
            })
            .collect();
        let plan = Self(stages?);
        if plan.most() == 0 || plan.duration() == Duration::ZERO {
            return Err(format!("the plan has no clients, or no duration; {}", expected()));
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_stage_changes_linearly_to_its_number() {
        let plan: Plan = "1000,30s; 10k,5m;0,10s".parse().unwrap();
        let at = |after| plan.clients_at(seconds(after));
        assert_eq!((at(0), at(15), at(30)), (0, 500, 1000));
        // After half of the five minutes, half of the missing 9000 are there.
        assert_eq!((at(180), at(330), at(335), at(1000)), (5500, 10_000, 5000, 0));
        assert_eq!((plan.most(), plan.duration()), (10_000, seconds(340)));
        assert_eq!(plan.to_string(), "1k,30s;10k,5m;0s,10s".replace("0s,", "0,"));
    }

    #[test]
    fn a_plan_says_when_each_client_leaves() {
        let plan: Plan = "100,10s;100,10s;0,10s".parse().unwrap();
        // The last client leaves as soon as the number falls, the first one at the end.
        assert_eq!(plan.leaves_at(99, seconds(5)), Duration::from_millis(20_100));
        assert_eq!(plan.leaves_at(0, seconds(5)), seconds(30));
        for index in [0, 1, 50, 99] {
            let leaves = plan.leaves_at(index, seconds(12));
            let span = Duration::from_millis(200);
            assert!(plan.clients_at(leaves - span) > index, "{index} {leaves:?}");
            assert!(plan.clients_at(leaves + span) <= index, "{index} {leaves:?}");
        }
        assert_eq!(Plan::steady(5, seconds(60)).leaves_at(4, seconds(30)), seconds(60));
    }

    #[test]
    fn a_steady_plan_has_a_short_ramp() {
        let plan = Plan::steady(500, seconds(600));
        assert_eq!((plan.clients_at(seconds(30)), plan.clients_at(seconds(599))), (500, 500));
        assert_eq!(plan.duration(), seconds(600));
    }

    #[test]
    fn text_that_is_not_a_plan_is_refused_with_a_sentence() {
        for text in ["", "1000", "1000,", "x,30s", "1000,30", "0,30s", "5,0s"] {
            let sentence = text.parse::<Plan>().unwrap_err();
            assert!(!sentence.is_empty(), "{text:?}");
        }
    }
}
