//! The cost of a push: this server on both of its paths, a plain loop of `write`, and servers that its users could
//! write in an afternoon instead.
//!
//! Every server runs in a separate process on the first core (with two shards, on both cores), its clients in another
//! process on the second. All servers of a size are open at the same time, and take turns. While a push is under way
//! the clients do not read: waking a waiting client costs the server that writes to it, and takes a core from two
//! shards.
//!
//! * Processor time is the time that the server's process has used when it is idle again, as the kernel accounts for
//!   it, together with that of the kernel's threads that take over when there is much to receive.
//! * A subscriber has the push when the kernel has it for the subscriber's socket, by the kernel's timestamp.
//!
//! No figure is absolute: compare within one run. `CARILLON_BENCH_QUICK=1` runs the smallest size only.

mod arena;
mod contender;
mod figures;
mod frameworks;
mod plain;
mod plot;
#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::path::{Path, PathBuf};

use arena::Arena;
use contender::Contender;
use figures::{Figures, Round};
use support::child;
use support::clients::Listeners;

/// Below the 20,000 files that a process may open on many systems.
const SIZES: [usize; 3] = [1_000, 10_000, 19_000];

/// The rounds that are discarded, and the rounds that count.
const WARM_UP: usize = 1;
const ROUNDS: usize = 9;

fn main() {
    if let Some(role) = child::role() {
        return match &role[0][..] {
            Listeners::ROLE => Listeners::live(&role[1], &role[2]),
            _ => arena::live(&role),
        };
    }
    let is_quick = env::var_os("CARILLON_BENCH_QUICK").is_some();
    let sizes = if is_quick { &SIZES[..1] } else { &SIZES[..] };
    let results: Vec<_> = sizes.iter().map(|&size| measure(size)).collect();
    print_growth(&results);
    let path = plot_path();
    match plot::write(&path, &results) {
        Ok(()) => println!("The same as a plot: {}", path.display()),
        Err(error) => eprintln!("cannot write {}: {error}", path.display()),
    }
}

fn print_growth(results: &[Figures]) {
    let growth: Vec<_> = figures::growth(results).collect();
    if growth.is_empty() {
        return;
    }
    let (smallest, largest) = (SIZES[0], SIZES[SIZES.len() - 1]);
    println!("Processor time per delivery at {largest} connections to that at {smallest}:\n");
    for (contender, ratio) in growth {
        println!("* {}: {ratio:.2}", contender.name());
    }
    println!();
}

/// All contenders at one size, and their table.
fn measure(connections: usize) -> Figures {
    let mut arenas = Contender::ALL.map(|contender| Arena::open(contender, connections));
    let mut rounds: Vec<Vec<Round>> = Vec::new();
    for turn in 0..WARM_UP + ROUNDS {
        rounds.push(round(&mut arenas, turn));
    }
    let memory = arenas.each_ref().map(|arena| arena.idle_memory);
    let figures = Figures::of(connections, memory, &rounds[WARM_UP..]);
    println!("{figures}");
    figures
}

/// A push of each contender. Each turn begins with another contender, as a round affects the next one through the
/// caches.
fn round(arenas: &mut [Arena], turn: usize) -> Vec<Round> {
    let first = turn % arenas.len();
    arenas.rotate_left(first);
    let mut rounds: Vec<_> = arenas.iter_mut().map(Arena::round).collect();
    arenas.rotate_right(first);
    rounds.rotate_right(first);
    rounds
}

/// The path of the plot, in cargo's target folder.
fn plot_path() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().unwrap_or(scratch).join("peers").join("peers.svg")
}
