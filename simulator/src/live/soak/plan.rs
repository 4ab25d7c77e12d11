//! How many clients there are to be, and when: `1000,30s;10000,5m;0,10s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::units::{format_count, format_span, parse_count, parse_span};

/// Stages, each of which goes evenly from the number of clients that there are to its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<(u32, Duration)>);

impl Plan {
    /// Up to so many clients within a tenth of the time, though not more than half a minute, and then they stay.
    pub fn steady(clients: u32, duration: Duration) -> Self {
        let ramp = (duration / 10).min(Duration::from_secs(30));
        Self(vec![(clients, ramp), (clients, duration - ramp)])
    }

    /// Stages: a number of clients, and the time that it takes to come to that.
    pub fn stages(stages: Vec<(u32, Duration)>) -> Self {
        Self(stages)
    }

    /// How many clients there are to be so long after the start.
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

    /// When the plan has this client no more, if it has it so long after the start.
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

    /// The most clients at any time.
    pub fn most(&self) -> u32 {
        self.0.iter().map(|(clients, _)| *clients).max().unwrap_or_default()
    }

    /// How long it goes on.
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
            return Err(format!("there is nobody to come, or no time; {}", expected()));
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
    fn each_stage_goes_evenly_to_its_number() {
        let plan: Plan = "1000,30s; 10k,5m;0,10s".parse().unwrap();
        let at = |after| plan.clients_at(seconds(after));
        assert_eq!((at(0), at(15), at(30)), (0, 500, 1000));
        // Half of five minutes later half of the 9000 that are missing.
        assert_eq!((at(180), at(330), at(335), at(1000)), (5500, 10_000, 5000, 0));
        assert_eq!((plan.most(), plan.duration()), (10_000, seconds(340)));
        assert_eq!(plan.to_string(), "1k,30s;10k,5m;0s,10s".replace("0s,", "0,"));
    }

    #[test]
    fn a_client_knows_when_its_time_is_over() {
        let plan: Plan = "100,10s;100,10s;0,10s".parse().unwrap();
        // The last one goes at once when the number falls, the first one at the end.
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
    fn a_steady_load_comes_quickly_and_stays() {
        let plan = Plan::steady(500, seconds(600));
        assert_eq!((plan.clients_at(seconds(30)), plan.clients_at(seconds(599))), (500, 500));
        assert_eq!(plan.duration(), seconds(600));
    }

    #[test]
    fn what_is_no_plan_says_what_is() {
        for text in ["", "1000", "1000,", "x,30s", "1000,30", "0,30s", "5,0s"] {
            let sentence = text.parse::<Plan>().unwrap_err();
            assert!(!sentence.is_empty(), "{text:?}");
        }
    }
}
