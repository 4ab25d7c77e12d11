//! Signals, the file limit, memory and standard output of the process.

pub mod limits;
pub(super) mod memory;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::shell::clock::{Clock, SystemClock};
use crate::shell::log::Journal;
use crate::shell::options::Options;
use crate::shell::serve::{ServeError, Server};

/// The time that the process waits at its end for the reader of its log.
const FLUSH_PATIENCE: Duration = Duration::from_millis(200);

/// Serves until SIGTERM or SIGINT, then drains; a second signal ends the server at once.
///
/// The log goes to standard output, an error that stops the server to standard error. The exit code is 0 after a
/// drain, 2 for options that contradict each other, and 1 for any other error.
pub fn serve(options: &Options) -> ExitCode {
    memory::return_large_blocks();
    let result = Journal::new(options.log_format, options.time_zone.clone(), io::stdout())
        .map(Arc::new)
        .map_err(ServeError::System)
        .and_then(|journal| {
            let result = serve_with(options, &journal);
            // A reader that does not read in time loses the rest of the log.
            let _is_written = journal.flush(FLUSH_PATIENCE);
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carillon: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &ServeError) -> u8 {
    match error {
        ServeError::Config(_) => 2,
        _ => 1,
    }
}

fn serve_with(options: &Options, journal: &Arc<Journal>) -> Result<(), ServeError> {
    // First of all, as the runtime opens files and the server reads the limit.
    let open_files = limits::raise_open_files().unwrap_or_else(|_| limits::open_files());
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServeError::System)?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(ServeError::System)?;
        let server = Server::bind(options, Arc::clone(journal))?;
        note_limit(options, journal, open_files);
        let (tell, told) = oneshot::channel();
        let interrupted = async {
            signals.next().await;
            // The send fails if the server has ended meanwhile.
            tell.send(()).ok();
            signals.next().await;
        };
        let shutdown = async {
            // The sender is dropped only with this whole block.
            told.await.ok();
        };
        tokio::select! {
            biased;
            () = interrupted => Err(ServeError::Interrupted),
            result = server.run(shutdown) => result,
        }
    })
}

fn note_limit(options: &Options, journal: &Journal, open_files: u64) {
    let capacity = limits::capacity(open_files, options.shard_count());
    let mut sentence = format!("The limit of {open_files} open files holds {capacity} connections");
    if options.connection_limit() > capacity {
        sentence.push_str(", which is less than max-connections");
    }
    journal.note("limit", &sentence, SystemClock::new().now());
}

/// The two signals that ask the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
