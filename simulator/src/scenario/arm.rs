//! The two simulated arms, on which a scenario runs.

use std::fmt;

/// The arm on which a scenario runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arm {
    /// The reference server's hubs and announcer as plain values, without sockets, tasks or a runtime.
    #[default]
    Core,
    /// The reference server's shell, or any async server, over in-memory streams on a paused runtime.
    Paused,
}

impl Arm {
    /// All arms.
    pub const ALL: [Self; 2] = [Self::Core, Self::Paused];

    /// The arm's name on the command line, in scripts and in reports.
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
