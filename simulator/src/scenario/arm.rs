//! The arms of the simulator: where a scenario runs.

use std::fmt;

/// Where a scenario runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arm {
    /// The hubs and the announcer as values: no sockets, no tasks, no runtime.
    #[default]
    Core,
    /// The shell, over in-memory streams on a paused runtime.
    Paused,
}

impl Arm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Core, Self::Paused];

    /// The word for it on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
