//! Where each instant of the picture stands: time runs downwards, and long silences are folded.

use std::collections::BTreeMap;

use carillon_server::Timestamp;

/// The height of a line of text.
pub(super) const LINE: f64 = 16.0;

/// The tallest that a silence gets.
const TALLEST: f64 = 64.0;

/// The height of every instant.
#[derive(Debug)]
pub(super) struct Layout {
    places: BTreeMap<Timestamp, f64>,
    /// Where the last instant's text ends.
    pub(super) bottom: f64,
}

impl Layout {
    /// Instants from `top` on, each with the lines of text that must fit beside it.
    pub(super) fn new(top: f64, instants: &BTreeMap<Timestamp, usize>) -> Self {
        let mut places = BTreeMap::new();
        let (mut y, mut before): (f64, Option<(Timestamp, usize)>) = (top, None);
        for (at, lines) in instants {
            if let Some((last, lines_there)) = before {
                let text = LINE * lines_there.max(1) as f64;
                y += text.max(distance(*at, last));
            }
            places.insert(*at, y);
            before = Some((*at, *lines));
        }
        let last_lines = before.map_or(1, |(_, lines)| lines.max(1));
        Self { places, bottom: y + LINE * last_lines as f64 }
    }

    /// The height of an instant; of one that is not in the picture, that of the next before it.
    pub(super) fn y(&self, at: Timestamp) -> f64 {
        let first = self.places.values().next().copied().unwrap_or_default();
        self.places.range(..=at).next_back().map_or(first, |(_, y)| *y)
    }

    /// The instants with their heights, from the top.
    pub(super) fn instants(&self) -> impl Iterator<Item = (Timestamp, f64)> {
        self.places.iter().map(|(at, y)| (*at, *y))
    }
}

/// The logarithm of a time, so that a latency has a slope that can be seen and five minutes fit the page.
fn distance(at: Timestamp, last: Timestamp) -> f64 {
    let millis = at.since(last).as_secs_f64() * 1000.0;
    (8.0 + 12.0 * (1.0 + millis).log10()).min(TALLEST)
}
