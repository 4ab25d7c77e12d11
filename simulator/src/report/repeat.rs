//! The command line that repeats a run.

use super::run::Run;
use crate::scenario::Arm;
use crate::scenario::recipe::Defaults;
use crate::units::{format_count, format_span, quoted};

impl Run<'_> {
    /// The command line that repeats the run exactly: every option that differs from its default, and the seed.
    pub fn repeat_line(&self) -> String {
        let arm = (self.arm != Arm::default()).then_some(self.arm);
        self.repeat_as("cargo sim run", &Defaults::RUN, arm)
    }

    /// The same for another command, which has its own defaults. `arm` is left out if it is `None`.
    pub(crate) fn repeat_as(&self, command: &str, defaults: &Defaults, arm: Option<Arm>) -> String {
        let scenario = self.scenario;
        let (period, file) = (scenario.server.period, scenario.file.as_deref());
        let name = file.map_or_else(|| scenario.name.clone(), |path| quoted(&path.display().to_string()));
        // A file has its own values, so every option is stated.
        let is_named = file.is_none();
        let mut line = command.to_owned();
        let mut option = |is_default: bool, name: &str, value: &str| {
            if !is_default {
                line.push_str(&format!(" --{name} {value}"));
            }
        };
        let Defaults { clients, duration, .. } = *defaults;
        option(name == defaults.scenario, "scenario", &name);
        option(is_named && scenario.clients == clients, "clients", &format_count(scenario.clients));
        option(is_named && scenario.duration == duration, "for", &format_span(scenario.duration));
        option(is_named && period == defaults.period, "period", &format_span(period));
        option(arm.is_none(), "arm", arm.map_or("", Arm::name));
        option(false, "seed", &self.seed.to_string());
        line
    }
}
