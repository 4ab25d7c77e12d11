//! Which hazards met which guarantees, as a table and for JSON.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::oracle::coverage::{Coverage, Hazard};
use crate::oracle::guarantee::Guarantee;

/// Width of the column of hazards, in characters.
const LABEL: usize = 17;

/// Width of a column of counts, in characters.
const CELL: usize = 5;

/// How often a guarantee was exercised on a connection that had met a hazard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageEntry {
    /// The hazard: what made the guarantee hard to keep, such as `slicer`.
    pub hazard: Cow<'static, str>,
    /// The guarantee, `G1` to `G15`.
    pub guarantee: String,
    /// How often the guarantee was exercised; at least 1.
    pub count: u64,
}

impl CoverageEntry {
    /// One entry for each pair of hazard and guarantee that occurred.
    pub(super) fn all(coverage: &Coverage) -> Vec<Self> {
        let cells =
            Hazard::ALL.into_iter().flat_map(|hazard| Guarantee::ALL.map(|guarantee| (hazard, guarantee)));
        cells
            .map(|(hazard, guarantee)| Self {
                hazard: hazard.name().into(),
                guarantee: guarantee.to_string(),
                count: coverage.get(hazard, guarantee),
            })
            .filter(|entry| entry.count > 0)
            .collect()
    }
}

/// The table of hazards and guarantees. A point stands for 0, and a hazard that no connection met has no line.
/// Print it with `Display`.
#[derive(Clone, Copy, Debug)]
pub struct CoverageTable<'a> {
    /// How often each pair of hazard and guarantee occurred.
    pub coverage: &'a Coverage,
}

impl Display for CoverageTable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<LABEL$}", "hazard")?;
        for guarantee in Guarantee::ALL {
            write!(f, "{:>CELL$}", guarantee.to_string())?;
        }
        for hazard in Hazard::ALL {
            let counts = self.coverage.cells[hazard as usize];
            if counts.iter().any(|count| *count > 0) {
                write!(f, "\n  {:<LABEL$}", hazard.name())?;
                counts.iter().try_for_each(|count| write!(f, "{:>CELL$}", short(*count)))?;
            }
        }
        writeln!(f)
    }
}

/// A count in at most four characters, rounded down.
fn short(count: u64) -> String {
    match count {
        0 => ".".to_owned(),
        1..1000 => count.to_string(),
        1000..1_000_000 => format!("{}k", count / 1000),
        1_000_000..1_000_000_000 => format!("{}m", count / 1_000_000),
        _ => format!("{}g", (count / 1_000_000_000).min(999)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hazards_that_occurred_are_shown() {
        let mut coverage = Coverage::default();
        for (hazard, guarantee, count) in [
            (Hazard::Bandwidth, Guarantee::G3, 7),
            (Hazard::Bandwidth, Guarantee::G15, 999_999),
            (Hazard::ResetPeer, Guarantee::G1, 12_345_678),
        ] {
            coverage.cells[hazard as usize][guarantee.index()] = count;
        }
        let expected = "  \
  hazard              G1   G2   G3   G4   G5   G6   G7   G8   G9  G10  G11  G12  G13  G14  G15
  bandwidth            .    .    7    .    .    .    .    .    .    .    .    .    .    . 999k
  reset_peer         12m    .    .    .    .    .    .    .    .    .    .    .    .    .    .
";
        assert_eq!(CoverageTable { coverage: &coverage }.to_string(), expected);
        let entries = CoverageEntry::all(&coverage);
        assert_eq!(entries.len(), 3);
        assert_eq!((entries[2].hazard.as_ref(), entries[2].count), ("reset_peer", 12_345_678));
    }
}
