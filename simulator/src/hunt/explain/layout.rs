//! The vertical position of each instant in the picture: time runs downwards, and long silences are shortened.

use std::collections::BTreeMap;

use carillon_server::Timestamp;

/// The height of a line of text, in pixels.
pub(super) const LINE: f64 = 16.0;

/// The largest distance between two instants, in pixels.
const TALLEST: f64 = 64.0;

/// The vertical position of every instant, in pixels from the top.
#[derive(Debug)]
pub(super) struct Layout {
    places: BTreeMap<Timestamp, f64>,
    /// The lower edge of the last instant's text.
    pub(super) bottom: f64,
}

impl Layout {
    /// Places the instants from `top` on. Each instant comes with the number of text lines that must fit beside it.
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

    /// The position of an instant; for an instant that is not in the picture, the position of the nearest earlier
    /// one.
    pub(super) fn y(&self, at: Timestamp) -> f64 {
        let first = self.places.values().next().copied().unwrap_or_default();
        self.places.range(..=at).next_back().map_or(first, |(_, y)| *y)
    }

    /// The instants with their positions, from the top.
    pub(super) fn instants(&self) -> impl Iterator<Item = (Timestamp, f64)> {
        self.places.iter().map(|(at, y)| (*at, *y))
    }
}

/// The distance for a span of time, in pixels. It is logarithmic, so that a latency has a visible slope and five
/// minutes still fit the page.
fn distance(at: Timestamp, last: Timestamp) -> f64 {
    let millis = at.since(last).as_secs_f64() * 1000.0;
    (8.0 + 12.0 * (1.0 + millis).log10()).min(TALLEST)
}
