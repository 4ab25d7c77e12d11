//! The defaults of a trial.

use std::time::Duration;

use crate::scenario::recipe::Defaults;

/// Small enough to end in a second or two with a complete server.
pub(super) const DEFAULTS: Defaults = Defaults {
    scenario: Defaults::RUN.scenario,
    clients: 100,
    duration: Duration::from_secs(2 * 3600),
    period: Defaults::RUN.period,
};
