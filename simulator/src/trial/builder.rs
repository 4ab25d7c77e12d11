//! The builder of a trial: a server, a scenario and seeds, run on all cores.

use std::env;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use super::defaults::DEFAULTS;
use super::failure::{Failure, Repeat};
use super::suspect::{self, Start};
use crate::arms::RunOptions;
use crate::arms::paused::{PausedTarget, Service, VirtualClock};
use crate::file::LoadError;
use crate::hunt::sweep::{Totals, sweep};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Tally;
use crate::oracle::verdict::Verdict;
use crate::scenario::Scenario;
use crate::scenario::recipe::{Overrides, Recipe};
use crate::script::Script;
use crate::units::parse_seed;

/// Environment variable with a seed that is run alone, instead of the seeds of the trial.
const SEED: &str = "CARILLON_SEED";

/// Environment variable with the file of a script that is played instead of the scenario.
const SCRIPT: &str = "CARILLON_SCRIPT";

type SharedStart = dyn Fn(&Scenario) -> io::Result<PausedTarget> + Send + Sync;

/// Puts a server on trial in your own tests.
///
/// ```
/// use std::time::Duration;
///
/// use carillon_simulator::paused::Stream;
/// use carillon_simulator::trial::Trial;
/// use carillon_simulator::{Guarantee, Verdict};
///
/// // A server that accepts connections and never answers the handshake.
/// async fn serve(stream: Stream) {
///     let _stream = stream;
///     std::future::pending::<()>().await
/// }
///
/// let trial = Trial::of(|_scenario, _clock| serve).clients(4).duration(Duration::from_secs(900)).seeds(1..=2);
/// let result = trial.run()?;
/// assert_eq!(result.verdict(), Verdict::Violated);
/// assert!(result.tally(Guarantee::G10).violations > 0, "no request was answered");
/// # Ok::<(), carillon_simulator::trial::TrialError>(())
/// ```
///
/// The scenario is `day` with 100 clients for two hours and a push every five minutes, and the seeds are 1 to 8, unless
/// the builder says otherwise. Two environment variables change what a test runs: `CARILLON_SEED=7` runs that seed alone,
/// and `CARILLON_SCRIPT=FILE` plays a script that an earlier failure wrote.
pub struct Trial {
    start: Arc<SharedStart>,
    scenario: String,
    overrides: Overrides,
    seeds: RangeInclusive<u64>,
    scripts: Option<PathBuf>,
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("scenario", &self.scenario)
            .field("overrides", &self.overrides)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

/// Why a trial has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrialError {
    /// The file of the scenario or of the script cannot be read or has a mistake.
    File(LoadError),
    /// The scenario, the number of clients, a time or a seed is not allowed; the sentence says which one and what
    /// is allowed.
    Setting(String),
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Setting(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for TrialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Setting(_) => None,
        }
    }
}

/// The result of a trial: the sums over all its seeds.
#[derive(Clone, Debug)]
pub struct TrialResult {
    totals: Totals,
}

impl TrialResult {
    /// The verdict on the server: violated if a seed failed, held if any guarantee was exercised, and not exercised
    /// otherwise.
    pub fn verdict(&self) -> Verdict {
        if !self.totals.failures.is_empty() {
            Verdict::Violated
        } else if self.totals.tallies.iter().all(|tally| tally.exercised == 0) {
            Verdict::NotExercised
        } else {
            Verdict::Held
        }
    }

    /// How often this guarantee was exercised and how often it broke, over all seeds.
    pub fn tally(&self, guarantee: Guarantee) -> Tally {
        self.totals.tallies[guarantee.index()]
    }

    /// The number of seeds that were run.
    pub fn seeds(&self) -> u64 {
        self.totals.seeds
    }

    /// The seeds in which a guarantee broke or the server panicked, in ascending order.
    pub fn failed_seeds(&self) -> impl Iterator<Item = u64> {
        self.totals.failures.iter().map(|failed| failed.seed)
    }
}

impl Trial {
    /// Creates a trial of the server that `start` creates.
    ///
    /// `start` is called once for each run, inside a paused tokio runtime. It gets the scenario, whose limits and
    /// times the server must use, and the virtual clock that the server must read instead of the system's. It may
    /// spawn tasks. It returns what serves one connection: a closure from a [`Stream`](crate::paused::Stream) to a
    /// future, or a [`Service`].
    /// [`Service`].
    pub fn of<S: Service + 'static>(
        start: impl Fn(&Scenario, VirtualClock) -> S + Send + Sync + 'static,
    ) -> Self {
        let start = Arc::new(start);
        let start = move |scenario: &Scenario| {
            let start = Arc::clone(&start);
            suspect::target(scenario, move |scenario, clock| start(scenario, clock))
        };
        Self {
            start: Arc::new(start),
            scenario: DEFAULTS.scenario.to_owned(),
            overrides: Overrides::default(),
            seeds: 1..=8,
            scripts: None,
        }
    }

    /// Sets what the clients do: the name of a built-in scenario such as `swarm`, or the path of a TOML file (with
    /// a `/` in it, or ending in `.toml`). The default is `day`.
    #[must_use]
    pub fn scenario(mut self, name_or_file: &str) -> Self {
        name_or_file.clone_into(&mut self.scenario);
        self
    }

    /// Sets the number of clients. The default is 100, or that of the scenario file.
    #[must_use]
    pub fn clients(mut self, clients: u32) -> Self {
        self.overrides.clients = Some(clients);
        self
    }

    /// Sets the virtual time until the server is told to shut down. The default is two hours, or that of the
    /// scenario file.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.overrides.duration = Some(duration);
        self
    }

    /// Sets the virtual time between two pushes. The default is five minutes, or that of the scenario file.
    #[must_use]
    pub fn period(mut self, period: Duration) -> Self {
        self.overrides.period = Some(period);
        self
    }

    /// Sets the seeds, with one run each. The default is `1..=8`.
    #[must_use]
    pub fn seeds(mut self, seeds: RangeInclusive<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets the folder for the script of a failed run. The default is `carillon` in Cargo's target folder.
    #[must_use]
    pub fn scripts_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scripts = Some(folder.into());
        self
    }

    /// Runs the seeds on all cores.
    ///
    /// # Errors
    ///
    /// The scenario cannot be read, or a setting is not allowed.
    pub fn run(&self) -> Result<TrialResult, TrialError> {
        let seeds = self.wanted_seeds()?;
        let recipe = self.recipe()?;
        recipe.scenario(*seeds.start()).map_err(TrialError::Setting)?;
        let jobs = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let mut totals = Totals::default();
        let end = seeds.end().checked_add(1).ok_or_else(|| {
            TrialError::Setting(format!("the last seed is too large; it may be {} at most", u64::MAX - 1))
        })?;
        let run_seed = |seed| {
            let scenario = recipe.scenario(seed)?;
            self.one_run(&scenario, seed).map_err(|error| error.to_string())
        };
        sweep(*seeds.start()..end, jobs, run_seed, |seed, result| {
            totals.add(seed, result);
            ControlFlow::Continue(())
        });
        Ok(TrialResult { totals })
    }

    /// Runs the seeds on all cores, and asserts that every guarantee held.
    ///
    /// # Panics
    ///
    /// If a guarantee broke. The message says which one and how, shows what happened to the client in question,
    /// contains the run made small as a script with the path of its file, and ends with the command line that
    /// repeats it. It also panics if no guarantee was exercised, or if the trial cannot run.
    #[track_caller]
    pub fn assert_held(&self) {
        let failure = match env::var_os(SCRIPT) {
            Some(file) => self.failure_of_script(Path::new(&file)),
            None => self.failure_of_seeds(),
        };
        match failure {
            Ok(None) => {}
            Ok(Some(failure)) => panic!("{failure}"),
            Err(error) => panic!("the trial cannot run: {error}"),
        }
    }

    fn failure_of_script(&self, file: &Path) -> Result<Option<String>, TrialError> {
        let script = Script::load(file).map_err(TrialError::File)?;
        Ok(Failure::of_script(self.start(), &script, &Repeat::of_script(SCRIPT, file)))
    }

    fn failure_of_seeds(&self) -> Result<Option<String>, TrialError> {
        let result = self.run()?;
        if result.verdict() == Verdict::NotExercised {
            return Ok(Some("no guarantee was exercised: no client got a connection".to_owned()));
        }
        let Some(first) = result.totals.failures.first() else { return Ok(None) };
        let scenario = self.recipe()?.scenario(first.seed).map_err(TrialError::Setting)?;
        let repeat = Repeat::of_seed(SEED, SCRIPT, first.seed, self.scripts.clone());
        Ok(Some(
            Failure { start: self.start(), scenario: &scenario, totals: &result.totals, first }
                .message(&repeat),
        ))
    }

    fn start(&self) -> &Start {
        &*self.start
    }

    fn one_run(&self, scenario: &Scenario, seed: u64) -> io::Result<crate::world::Outcome> {
        suspect::run(self.start(), scenario, seed, RunOptions::default())
    }

    fn recipe(&self) -> Result<Recipe, TrialError> {
        let source = self.scenario.parse().map_err(TrialError::Setting)?;
        Recipe::new(Some(&source), self.overrides, DEFAULTS).map_err(TrialError::File)
    }

    fn wanted_seeds(&self) -> Result<RangeInclusive<u64>, TrialError> {
        match env::var(SEED) {
            Ok(seed) => {
                let seed = parse_seed(&seed)
                    .map_err(|sentence| TrialError::Setting(format!("{SEED}={seed}: {sentence}")))?;
                Ok(seed..=seed)
            }
            Err(_) if self.seeds.is_empty() => {
                let (first, last) = (self.seeds.start(), self.seeds.end());
                Err(TrialError::Setting(format!("there is no seed from {first} to {last}; write 1..=8")))
            }
            Err(_) => Ok(self.seeds.clone()),
        }
    }
}
