//! A load that several processes share: each worker is this binary with a part of the load, and the reports are added
//! up.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use carillon_server::shell::process::limits;
use carillon_simulator::live::soak::{Progress, SoakOptions};
use carillon_simulator::report::Summary;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::display::{Display, MARK};
use super::options::Options;
use crate::cli::failure::Failure;
use crate::cli::terminal;

/// Open files of a load generator that are not connections.
const OWN_FILES: u64 = 64;

/// The interval at which the workers' progress is added up.
const LOOK: Duration = Duration::from_secs(1);

/// A worker process, and its last progress.
struct Worker {
    child: Child,
    progress: Progress,
}

/// Raises this process's limit of open files, so that it can hold its part of the clients.
pub(crate) fn raise_limit(load: &SoakOptions) -> Result<(), Failure> {
    let files = limits::raise_open_files().unwrap_or_else(|_| limits::open_files());
    let clients = u64::from(load.plan.most().div_ceil(load.shard.1));
    if clients + OWN_FILES <= files {
        return Ok(());
    }
    let room = files.saturating_sub(OWN_FILES);
    let workers = clients.div_ceil(room.max(1));
    Err(Failure::Usage(format!(
        "{clients} clients need as many open files, and a process may open {files} here; use --workers {workers}"
    )))
}

/// Makes this process end when its parent process ends.
pub(super) fn end_with_parent() {
    // On a system that cannot do this, the worker ends with its plan.
    let _is_set = set_parent_process_death_signal(Some(Signal::TERM));
}

/// Runs the load in worker processes, and adds up their reports.
pub(super) fn share(options: &Options, load: &SoakOptions) -> Result<Summary, Failure> {
    let impossible =
        |error: std::io::Error| Failure::Impossible(format!("cannot start the workers: {error}"));
    let (tell, told) = channel();
    let mut workers = Vec::new();
    let mut outputs = Vec::new();
    for number in 0..options.workers {
        let mut child = start(options, load, number).map_err(impossible)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        outputs.push(thread::spawn(move || read_all(stdout)));
        if let Some(stderr) = stderr {
            let tell = tell.clone();
            thread::spawn(move || pass_on(number as usize, stderr, &tell));
        }
        workers.push(Worker { child, progress: Progress::default() });
    }
    drop(tell);
    forward_interrupts(workers.iter().map(|worker| Pid::from_child(&worker.child)).collect())
        .map_err(impossible)?;
    follow(&mut workers, &told, &load.size());
    let mut parts = Vec::new();
    for (number, (worker, output)) in workers.iter_mut().zip(outputs).enumerate() {
        let text = output.join().unwrap_or_default();
        // The worker's report says more than its exit code.
        let _is_reaped = worker.child.wait();
        let name = format!("worker {}", number + 1);
        let summary: Summary = serde_json::from_str(&text)
            .map_err(|error| Failure::Impossible(format!("{name} wrote no report: {error}")))?;
        parts.push((name, summary));
    }
    let mut whole = Summary::merge(&parts).map_err(Failure::Impossible)?;
    if load.shard.1 == 1 {
        whole.shard = None;
    }
    whole.repeat = format!("{} --workers {}", load.repeat_line(), options.workers);
    Ok(whole)
}

/// Starts the worker with its part of this process's part of the load.
fn start(options: &Options, load: &SoakOptions, number: u32) -> std::io::Result<Child> {
    let (part, parts) = load.shard;
    let shard = format!("{}/{}", (part - 1) * options.workers + number + 1, parts * options.workers);
    let mut command = Command::new(env::current_exe()?);
    command.args(["soak", &load.address.to_string(), "--is-worker", "--json", "-", "--shard", &shard]);
    command.args(["--plan", &load.plan.to_string(), "--seed", &load.seed.to_string()]);
    command.args(["--period", &carillon_simulator::units::format_span(load.scenario.server.period)]);
    let scenario = match &load.scenario.file {
        Some(file) => file.display().to_string(),
        None => load.scenario.name.clone(),
    };
    command.args(["--scenario", &scenario]);
    for threshold in &options.thresholds {
        command.args(["--threshold", &threshold.to_string()]);
    }
    if let Some(dialect) = &options.dialect {
        command.arg("--dialect").arg(dialect);
    }
    options.trust.pass_on(&mut command);
    if let Some(pid) = load.server {
        command.args(["--pid", &pid.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

fn read_all(stdout: Option<impl Read>) -> String {
    let mut text = String::new();
    // A report that is cut off does not parse, and that error is reported.
    let _is_complete = stdout.map(|mut stdout| stdout.read_to_string(&mut text));
    text
}

/// Passes progress to the display, and prints all other lines of a worker.
fn pass_on(number: usize, stderr: ChildStderr, tell: &Sender<(usize, Progress)>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        match line.strip_prefix(MARK).and_then(|json| serde_json::from_str(json).ok()) {
            Some(progress) => {
                if tell.send((number, progress)).is_err() {
                    return;
                }
            }
            None => terminal::complain(&format!("worker {}: {line}", number + 1)),
        }
    }
}

/// Shows the progress until the last worker closes its standard error.
fn follow(workers: &mut [Worker], told: &Receiver<(usize, Progress)>, size: &str) {
    let mut display = Display::new(size, false);
    let mut has_news = false;
    loop {
        match told.recv_timeout(LOOK) {
            Ok((number, progress)) => {
                workers[number].progress = progress;
                has_news = number + 1 == workers.len();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if std::mem::take(&mut has_news) {
            let all = workers.iter().map(|worker| &worker.progress);
            display.show(&all.fold(Progress::default(), |sum, progress| sum.plus(progress)));
        }
    }
}

/// Passes interrupts to the workers: they report, and this process adds the reports up. A terminal sends an interrupt
/// to all processes at once; an interrupt that is sent to this process alone must be passed on.
fn forward_interrupts(workers: Vec<Pid>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut interrupts = {
        let _guard = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?
    };
    thread::spawn(move || {
        runtime.block_on(async {
            while interrupts.recv().await.is_some() {
                for worker in &workers {
                    // A worker that has ended needs no signal.
                    let _is_sent = kill_process(*worker, Signal::INT);
                }
            }
        });
    });
    Ok(())
}
