//! Invented reports of soaks: figures as a live run would measure them, drawn from a seed.

use std::time::Duration;

use carillon_simulator::Verdict;
use carillon_simulator::metrics::{Counts, Metrics, Sample, Threshold};
use carillon_simulator::report::{
    GuaranteeEntry, Latency, LaxEntry, SCHEMA_VERSION, Shard, Summary, ViolationEntry,
};
use carillon_simulator::{Clause, Guarantee, Rng};

const PERIOD: Duration = Duration::from_secs(5);
const CYCLES: u64 = 120;

/// The report of part `number` of a load of three. `slowness` is in percent of the usual latency.
pub(crate) fn part(number: u32, seed: u64, slowness: u64) -> Summary {
    let metrics = measured(&mut Rng::new(seed).split(u64::from(number)), slowness);
    let deliveries = metrics.counts.deliveries;
    Summary {
        schema_version: SCHEMA_VERSION,
        command: "soak".into(),
        arm: "live".into(),
        url: Some("ws://127.0.0.1:8080/ws".to_owned()),
        scenario: "churn".to_owned(),
        seed: 7,
        clients: 100,
        plan: Some("300,30s;300,9m;0,30s".to_owned()),
        period_seconds: PERIOD.as_secs_f64(),
        virtual_seconds: None,
        wall_seconds: 600.0,
        compression: None,
        cycles: CYCLES,
        deliveries,
        deliveries_per_second: (deliveries as f64 / 600.0).round(),
        events: None,
        digest: None,
        observed_digest: None,
        verdict: Verdict::Held,
        insecure: false,
        interrupted: false,
        shard: Some(Shard { numbers: vec![number], of: 3 }),
        guarantees: Guarantee::ALL.map(guarantee).into(),
        violations: Vec::new(),
        lax: Vec::new(),
        remarks: Vec::new(),
        headlines: Vec::new(),
        thresholds: ["push_latency:p(99)<50ms", "lost:count==0"].map(|text| judged(text, &metrics)).into(),
        races: Default::default(),
        coverage: Vec::new(),
        latency_ms: Latency::new(metrics.push_latency.histogram()),
        metrics: Some(metrics),
        repeat: format!("cargo sim soak ws://127.0.0.1:8080/ws --scenario churn --seed 7 --shard {number}/3"),
    }
}

/// The same load as one.
pub(crate) fn whole(seed: u64, slowness: u64) -> Summary {
    let parts = [1, 2, 3].map(|number| (format!("part {number}"), part(number, seed, slowness)));
    let mut whole = Summary::merge(&parts).expect("three parts of one load");
    whole.shard = None;
    whole
}

/// The same load with a broken promise, whose story contains `words`.
pub(crate) fn broken(words: &str) -> Summary {
    let mut summary = whole(1, 100);
    summary.verdict = Verdict::Violated;
    let entry = &mut summary.guarantees[Guarantee::G2.index()];
    (entry.verdict, entry.violations, entry.evidence) = (Verdict::Violated, 1, vec![words.to_owned()]);
    summary.violations.push(ViolationEntry {
        guarantee: "G2".to_owned(),
        fault: "unexpected".into(),
        at_seconds: 301.25,
        client: Some(17),
        detail: format!("a push came although the client was unsubscribed: {words}"),
        story: Some(format!("300.000 s  client sends unsubscribe\n301.250 s  client gets {words}")),
    });
    summary
}

/// The same load with departures that hurt no one and a headline, which contain `words`.
pub(crate) fn lax(words: &str) -> Summary {
    let details = (1..=8).map(|number| format!("case {number}: {words}")).collect();
    Summary {
        lax: vec![
            lax_entry(Clause::CloseAfterOffence, 12, details),
            lax_entry(Clause::MethodIsGet, 1, Vec::new()),
        ],
        headlines: vec![format!("The server ended with status 1: {words}")],
        ..whole(1, 100)
    }
}

/// The entry of a departure from this clause.
pub(crate) fn lax_entry(clause: Clause, count: u64, details: Vec<String>) -> LaxEntry {
    LaxEntry {
        section: clause.section().into(),
        rule: clause.rule().into(),
        guarantee: clause.guarantee().to_string(),
        count,
        details,
    }
}

fn judged(text: &str, metrics: &Metrics) -> carillon_simulator::metrics::Judgement {
    text.parse::<Threshold>().expect("a threshold").evaluate(metrics)
}

fn guarantee(guarantee: Guarantee) -> GuaranteeEntry {
    let (verdict, exercised) = match guarantee {
        Guarantee::G12 | Guarantee::G15 => (Verdict::NotExercised, 0),
        Guarantee::G11 => (Verdict::Undecided, 12),
        _ => (Verdict::Held, 4000 + guarantee.index() as u64),
    };
    GuaranteeEntry {
        id: guarantee.to_string(),
        name: guarantee.name().into(),
        promise: guarantee.promise(),
        verdict,
        exercised,
        violations: 0,
        evidence: Vec::new(),
    }
}

/// Ten minutes of a hundred clients, two in three of them subscribed.
fn measured(rng: &mut Rng, slowness: u64) -> Metrics {
    let mut metrics =
        Metrics { started_unix_millis: 1_795_000_000_000, seconds: 600.0, ..Metrics::default() };
    for cycle in 1..=CYCLES {
        for _ in 0..66 {
            // A sum of three draws has a thin tail.
            let micros: u64 = (0..3).map(|_| rng.below(4000)).sum::<u64>() * (1 + rng.below(40) / 39);
            let latency = Duration::from_micros((800 + micros) * slowness / 100);
            metrics.record_push(cycle, PERIOD * cycle as u32, latency);
        }
        metrics.record_echo(Duration::from_micros(200 + rng.below(300)));
        metrics.record_connect(Duration::from_micros(400 + rng.below(900)));
        (0..20).for_each(|_| metrics.record_own_delay(Duration::from_micros(rng.below(60))));
    }
    for second in 0..=600 {
        let connected = (second * 100 / 30).min(100).min((600 - second) * 100 / 30);
        metrics.timeline.push(Sample {
            at_millis: second * 1000,
            connected,
            subscribed: connected * 2 / 3,
            deliveries: second / 5 * 66,
            echoes: second / 5,
            closes: second / 10,
            violations: 0,
            server_memory_bytes: Some((9 << 20) + connected * 1100 + rng.below(4096)),
            server_cpu_seconds: Some(second as f64 * 0.021),
            own_memory_bytes: Some((20 << 20) + connected * 2900),
            own_cpu_seconds: Some(second as f64 * 0.034),
        });
    }
    metrics.counts = Counts { closes: 60, reconnects: 20, ..metrics.counts };
    metrics
}
