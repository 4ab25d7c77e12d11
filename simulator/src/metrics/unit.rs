//! The units of numbers, and how numbers are written with them.

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of memory.
    Bytes,
    /// Growth of memory, in bytes per hour.
    BytesPerHour,
    /// Milliseconds.
    Millis,
    /// A plain number.
    Number,
    /// Hundredths of one core.
    Percent,
    /// Events per second.
    PerSecond,
}

impl Unit {
    /// All units.
    pub const ALL: [Self; 6] =
        [Self::Bytes, Self::BytesPerHour, Self::Millis, Self::Number, Self::Percent, Self::PerSecond];

    /// The suffixes of the unit and their factors. The first is the default.
    pub const fn suffixes(self) -> &'static [(&'static str, f64)] {
        const KIB: f64 = 1024.0;
        match self {
            Self::Bytes => &[
                ("B", 1.0),
                ("KiB", KIB),
                ("MiB", KIB * KIB),
                ("GiB", KIB * KIB * KIB),
                ("kB", 1e3),
                ("MB", 1e6),
                ("GB", 1e9),
            ],
            Self::BytesPerHour => {
                &[("B/h", 1.0), ("KiB/h", KIB), ("MiB/h", KIB * KIB), ("GiB/h", KIB * KIB * KIB)]
            }
            Self::Millis => &[("ms", 1.0), ("us", 1e-3), ("s", 1e3), ("m", 60e3)],
            Self::Number => &[("", 1.0)],
            Self::Percent => &[("%", 1.0)],
            Self::PerSecond => &[("/s", 1.0)],
        }
    }

    /// The unit's name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "",
            _ => self.suffixes()[0].0,
        }
    }

    /// The unit of this name; [`Number`](Self::Number) if there is none.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|unit| unit.name() == name).unwrap_or(Self::Number)
    }

    /// A number in this unit as text, with a suitable prefix.
    pub fn format(self, number: f64) -> String {
        let scaled = |units: &[&str], step: f64| {
            let mut rest = number;
            let mut unit = 0;
            while rest.abs() >= step && unit + 1 < units.len() {
                rest /= step;
                unit += 1;
            }
            if unit == 0 { format!("{rest:.0} {}", units[0]) } else { format!("{rest:.1} {}", units[unit]) }
        };
        match self {
            Self::Bytes => scaled(&["B", "KiB", "MiB", "GiB"], 1024.0),
            Self::BytesPerHour => scaled(&["B/h", "KiB/h", "MiB/h", "GiB/h"], 1024.0),
            Self::Millis if number.abs() < 10.0 => format!("{number:.3} ms"),
            Self::Millis if number.abs() < 10_000.0 => format!("{number:.1} ms"),
            Self::Millis => format!("{:.1} s", number / 1000.0),
            Self::Number => format!("{number}"),
            Self::Percent => format!("{number:.1} %"),
            Self::PerSecond => format!("{number:.1}/s"),
        }
    }
}
