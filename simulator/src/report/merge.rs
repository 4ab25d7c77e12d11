//! Merges the reports of the parts of one load into the report of the whole load.

use std::collections::BTreeMap;

use super::coverage::CoverageEntry;
use super::entries::{GuaranteeEntry, ViolationEntry};
use super::facts::{ARM, PERIOD, PLAN, SCENARIO, SEED, difference};
use super::lax::united;
use super::numbers::{per_second, rounded};
use super::summary::{Latency, Races, Shard, Summary};
use crate::metrics::{Judgement, Metrics, Threshold};
use crate::oracle::checker::KEPT;
use crate::oracle::verdict::Verdict;

impl Summary {
    /// Merges the reports of the parts of one load: counts and histograms are added exactly, times are aligned,
    /// each verdict is the worst one, and thresholds are evaluated anew. Each part comes with the name of its file.
    ///
    /// # Errors
    ///
    /// The reports are not different parts of one load; the sentence names the files and the difference.
    pub fn merge(parts: &[(String, Self)]) -> Result<Self, String> {
        let [first, rest @ ..] = parts else {
            return Err("there is nothing to merge".to_owned());
        };
        let mut whole = first.1.clone();
        measured(first)?;
        shard(first)?;
        for part in rest {
            same_load(first, part)?;
            whole.add(parts, part)?;
        }
        whole.settle()?;
        Ok(whole)
    }

    fn add(&mut self, parts: &[(String, Self)], part: &(String, Self)) -> Result<(), String> {
        let metrics = measured(part)?;
        self.shard = Some(joined(parts, self.shard.as_ref(), part)?);
        let other = &part.1;
        self.clients += other.clients;
        self.cycles = self.cycles.max(other.cycles);
        self.deliveries += other.deliveries;
        self.insecure |= other.insecure;
        self.interrupted |= other.interrupted;
        self.verdict = worst(self.verdict, other.verdict);
        self.races.add(&other.races);
        self.repeat = format!("{}\n{}", self.repeat, other.repeat);
        self.coverage = added(&self.coverage, &other.coverage);
        self.lax = united(&self.lax, &other.lax);
        add_new(&mut self.headlines, &other.headlines);
        for entry in &other.guarantees {
            match self.guarantees.iter_mut().find(|known| known.id == entry.id) {
                Some(known) => known.add(entry),
                None => self.guarantees.push(entry.clone()),
            }
        }
        let known = self.metrics.get_or_insert_default();
        self.violations = aligned(
            (known.started_unix_millis, &self.violations),
            (metrics.started_unix_millis, &other.violations),
        );
        known.merge(metrics);
        for threshold in &other.thresholds {
            if self.thresholds.iter().all(|known| known.threshold != threshold.threshold) {
                self.thresholds.push(threshold.clone());
            }
        }
        Ok(())
    }

    /// Computes the figures that follow from the sums.
    fn settle(&mut self) -> Result<(), String> {
        let metrics = self.metrics.get_or_insert_default();
        self.wall_seconds = rounded(metrics.seconds, 3);
        self.deliveries_per_second = per_second(self.deliveries as f64, metrics.seconds).round();
        self.latency_ms = Latency::new(metrics.push_latency.histogram());
        self.violations.truncate(KEPT);
        let judged = |known: &Judgement| Ok(known.threshold.parse::<Threshold>()?.evaluate(metrics));
        self.thresholds = self.thresholds.iter().map(judged).collect::<Result<_, String>>()?;
        Ok(())
    }
}

/// The measurements of a part; an error if it is not the report of a soak.
fn measured((name, part): &(String, Summary)) -> Result<&Metrics, String> {
    match &part.metrics {
        Some(metrics) if part.command == "soak" => Ok(metrics),
        _ => Err(format!("{name} is the report of a {}; only reports of soaks can be merged", part.command)),
    }
}

fn shard((name, part): &(String, Summary)) -> Result<&Shard, String> {
    part.shard
        .as_ref()
        .ok_or_else(|| format!("{name} is a whole load, not a part that --shard has made of one"))
}

/// Checks that two reports are of the same load.
fn same_load(first: &(String, Summary), second: &(String, Summary)) -> Result<(), String> {
    match difference(&[SCENARIO, SEED, PLAN, PERIOD, ARM], first, second) {
        Some(what) => Err(format!("these are not parts of one load: {what}")),
        None => Ok(()),
    }
}

/// Adds the numbers of a part to those of the parts so far; an error if a number occurs twice.
fn joined(
    parts: &[(String, Summary)],
    known: Option<&Shard>,
    part: &(String, Summary),
) -> Result<Shard, String> {
    let (name, new) = (&part.0, shard(part)?);
    let mut all = known.cloned().unwrap_or_else(|| Shard { numbers: Vec::new(), of: new.of });
    if all.of != new.of {
        let first = &parts[0].0;
        return Err(format!("{first} is one of {} parts, but {name} is one of {}", all.of, new.of));
    }
    if let Some(twice) = new.numbers.iter().find(|number| all.numbers.contains(number)) {
        return Err(format!("part {twice} of {} is there twice; the second time in {name}", new.of));
    }
    all.numbers.extend(&new.numbers);
    all.numbers.sort_unstable();
    Ok(all)
}

/// The worse of two verdicts: violated is worse than undecided, and undecided is worse than held.
fn worst(one: Verdict, other: Verdict) -> Verdict {
    let order = [Verdict::NotExercised, Verdict::Held, Verdict::Undecided, Verdict::Violated];
    let rank = |verdict| order.iter().position(|known| *known == verdict);
    if rank(other) > rank(one) { other } else { one }
}

/// Adds the sentences that are not there yet.
fn add_new(known: &mut Vec<String>, more: &[String]) {
    for sentence in more {
        if !known.contains(sentence) {
            known.push(sentence.clone());
        }
    }
}

impl GuaranteeEntry {
    fn add(&mut self, other: &Self) {
        self.verdict = worst(self.verdict, other.verdict);
        self.exercised += other.exercised;
        self.violations += other.violations;
        add_new(&mut self.evidence, &other.evidence);
    }
}

impl Races {
    fn add(&mut self, other: &Self) {
        let Self { close, connect, subscribe, unsubscribe } = *other;
        self.close += close;
        self.connect += connect;
        self.subscribe += subscribe;
        self.unsubscribe += unsubscribe;
    }
}

fn added(one: &[CoverageEntry], other: &[CoverageEntry]) -> Vec<CoverageEntry> {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for entry in one.iter().chain(other) {
        *sums.entry((&entry.hazard, &entry.guarantee)).or_default() += entry.count;
    }
    let entry = |((hazard, guarantee), count): ((&str, &str), u64)| CoverageEntry {
        hazard: hazard.to_owned().into(),
        guarantee: guarantee.to_owned(),
        count,
    };
    sums.into_iter().map(entry).collect()
}

/// Violations of two parts in order of time, counted from the earlier start.
fn aligned(one: (u64, &[ViolationEntry]), other: (u64, &[ViolationEntry])) -> Vec<ViolationEntry> {
    let start = one.0.min(other.0);
    let shifted = |(started, violations): (u64, &[ViolationEntry])| {
        let later = (started - start) as f64 / 1000.0;
        let shift = |violation: &ViolationEntry| ViolationEntry {
            at_seconds: rounded(violation.at_seconds + later, 6),
            ..violation.clone()
        };
        violations.iter().map(shift).collect::<Vec<_>>()
    };
    let mut all = [shifted(one), shifted(other)].concat();
    all.sort_by(|a, b| a.at_seconds.total_cmp(&b.at_seconds));
    all
}
