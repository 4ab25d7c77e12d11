//! The files that a subcommand writes. A run opens its files before it starts, so that a wrong path does not cost the
//! run.

use std::cell::RefCell;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use carillon_simulator::{Trace, Watch};
use serde::Serialize;

use super::failure::Failure;
use super::terminal;

/// Writes a whole file at once.
pub(crate) fn write_file(path: &Path, text: impl AsRef<[u8]>) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| cannot_write(path, &error))
}

/// The destination of the JSON.
pub(crate) enum JsonOutput {
    File(PathBuf, File),
    Nowhere,
    Stdout,
}

impl JsonOutput {
    /// The file at this path; standard output if the path is `-`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            None => Ok(Self::Nowhere),
            Some(path) if path == Path::new("-") => Ok(Self::Stdout),
            Some(path) => match File::create(path) {
                Ok(file) => Ok(Self::File(path.to_owned(), file)),
                Err(error) => Err(cannot_write(path, &error)),
            },
        }
    }

    /// Whether standard output is left to the text report.
    pub(crate) fn leaves_stdout(&self) -> bool {
        !matches!(self, Self::Stdout)
    }

    /// Prints the text report, unless standard output is for the JSON, and writes the JSON.
    pub(crate) fn report(self, text: &impl Display, summary: &impl Serialize) -> Result<(), Failure> {
        if self.leaves_stdout() {
            terminal::print(&text.to_string())?;
        }
        self.write(summary)
    }

    /// Writes the JSON.
    pub(crate) fn write(self, summary: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(summary)
            .expect("a summary has no map and no writer that could fail");
        text.push('\n');
        match self {
            Self::File(path, mut file) => {
                file.write_all(text.as_bytes()).map_err(|error| cannot_write(&path, &error))
            }
            Self::Nowhere => Ok(()),
            Self::Stdout => terminal::print(&text),
        }
    }
}

/// A file with one line per event of a run.
///
/// A run cannot handle an error of the file, so the first error is kept until the end.
pub(crate) struct TraceFile {
    path: PathBuf,
    state: Rc<RefCell<State>>,
}

struct State {
    writer: BufWriter<File>,
    failure: Option<io::Error>,
}

impl TraceFile {
    /// An empty file, which replaces an older one.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
        let state = State { writer: BufWriter::new(file), failure: None };
        Ok(Self { path: path.to_owned(), state: Rc::new(RefCell::new(state)) })
    }

    /// The trace that writes to the file.
    pub(crate) fn trace(&self) -> Trace {
        Trace::new(Watch::All, Some(Box::new(Sink(Rc::clone(&self.state)))))
    }

    /// Writes the rest, and returns the first error of the file.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let mut state = self.state.borrow_mut();
        let result = match state.failure.take() {
            Some(error) => Err(error),
            None => state.writer.flush(),
        };
        result.map_err(|error| cannot_write(&self.path, &error))
    }
}

struct Sink(Rc<RefCell<State>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        if state.failure.is_none() {
            state.failure = state.writer.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Impossible(format!("cannot write {}: {error}", path.display()))
}
