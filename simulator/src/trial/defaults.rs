//! What a trial runs unless it is told otherwise.

use std::time::Duration;

use crate::scenario::recipe::Defaults;

/// Small enough to be over in a second or two with a server that runs whole.
pub(super) const DEFAULTS: Defaults = Defaults {
    scenario: Defaults::RUN.scenario,
    clients: 100,
    duration: Duration::from_secs(2 * 3600),
    period: Defaults::RUN.period,
};
