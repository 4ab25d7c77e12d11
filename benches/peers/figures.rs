//! The results of the rounds, as a table.

use std::fmt::{self, Display, Formatter};

use super::ROUNDS;
use super::contender::Contender;
use super::support::spread::Spread;

/// One push of one server, while its clients do not read.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    /// Processor time in µs per delivery.
    pub(crate) spent: f64,
    /// The time from the beginning of the push to its first arrival at a client's socket, in ms.
    pub(crate) first: f64,
    /// The time to its last arrival, in ms.
    pub(crate) last: f64,
}

/// All rounds of one size.
pub(crate) struct Figures {
    pub(crate) connections: usize,
    /// The ratio of the plain loop in a round to that in the round before.
    noise: Spread,
    pub(crate) rows: Vec<Row>,
    /// The ratio of the time to the last arrival with two shards to that with one shard in the same round.
    two_to_one: [(Contender, Spread); 2],
}

/// The figures of one server.
pub(crate) struct Row {
    pub(crate) contender: Contender,
    /// Processor time in µs per delivery.
    pub(crate) spent: Spread,
    /// The ratio of that time to the plain loop's in the same round.
    ratio: Spread,
    /// ms to the last arrival.
    pub(crate) last: Spread,
    /// ms from the first arrival to the last.
    between: Spread,
    /// Resident KiB per idle connection.
    pub(crate) memory: f64,
}

const PLAIN: usize = 0;

impl Figures {
    /// The figures of complete rounds, in each of which every contender had its turn; memory is in bytes.
    pub(crate) fn of(connections: usize, memory: [f64; Contender::ALL.len()], rounds: &[Vec<Round>]) -> Self {
        let row = |(index, contender): (usize, Contender)| {
            let spread =
                |figure: &dyn Fn(&[Round]) -> f64| Spread::of(rounds.iter().map(|round| figure(round)));
            Row {
                contender,
                spent: spread(&|round| round[index].spent),
                ratio: spread(&|round| round[index].spent / round[PLAIN].spent),
                last: spread(&|round| round[index].last),
                between: spread(&|round| round[index].last - round[index].first),
                memory: memory[index] / 1024.0,
            }
        };
        let noise = Spread::of(rounds.windows(2).map(|two| two[1][PLAIN].spent / two[0][PLAIN].spent));
        let two_to_one =
            [(Contender::Portable, Contender::PortableTwo), (Contender::Batched, Contender::BatchedTwo)];
        let two_to_one = two_to_one.map(|(one, two)| {
            let ratio = |round: &Vec<Round>| round[two as usize].last / round[one as usize].last;
            (one, Spread::of(rounds.iter().map(ratio)))
        });
        let rows = Contender::ALL.into_iter().enumerate().map(row).collect();
        Self { connections, noise, rows, two_to_one }
    }
}

/// The ratio of a delivery's cost at the largest size to its cost at the smallest.
pub(crate) fn growth(results: &[Figures]) -> impl Iterator<Item = (Contender, f64)> {
    let of = |figures: &Figures, index: usize| figures.rows[index].spent.median;
    Contender::ALL.into_iter().enumerate().filter_map(move |(index, contender)| {
        let [smallest, .., largest] = results else { return None };
        Some((contender, of(largest, index) / of(smallest, index)))
    })
}

impl Display for Figures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} connections: medians of {ROUNDS} interleaved rounds (least … most); the plain loop to itself, a \
             round later: {}\n",
            self.connections, self.noise
        )?;
        writeln!(
            f,
            "| server | processor time per delivery, µs | to the plain loop | to the last subscriber, ms \
             | from the first to the last, ms | KiB per idle connection |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for Row { contender, spent, ratio, last, between, memory } in &self.rows {
            let name = contender.name();
            writeln!(f, "| {name} | {spent} | {ratio} | {last} | {between} | {memory:.2} |")?;
        }
        writeln!(f, "\nTwo shards to one, to the last subscriber:\n")?;
        for (contender, ratio) in &self.two_to_one {
            writeln!(f, "* {}: {ratio}", contender.name())?;
        }
        Ok(())
    }
}
