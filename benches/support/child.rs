//! Another process of the same binary: an environment variable says what it is to be, lines of text do the rest.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

const ROLE: &str = "CARILLON_BENCH_ROLE";

/// What this process is to be, in words, if another one has started it for that.
pub(crate) fn role() -> Option<Vec<String>> {
    let role = env::var(ROLE).ok()?;
    Some(role.split(' ').map(str::to_owned).collect())
}

/// Says a line to the process that has started this one.
pub(crate) fn report(line: &str) {
    println!("{line}");
}

/// What the process that has started this one says, line by line, until it has nothing left to say.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    io::stdin().lines().map_while(Result::ok)
}

/// A child process. It is terminated, and waited for, when this is dropped.
pub(crate) struct Child {
    process: process::Child,
    orders: ChildStdin,
    reports: Option<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this binary once more.
    pub(crate) fn start(role: &str) -> Self {
        let binary = env::current_exe().expect("the system knows the binary");
        let mut process = Command::new(binary)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the system has room for one more process");
        let orders = process.stdin.take().expect("it is piped");
        let reports = process.stdout.take().map(BufReader::new);
        Self { process, orders, reports }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Says a line to it.
    pub(crate) fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").expect("the child listens");
    }

    /// The next line that it says.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        let reports = self.reports.as_mut().expect("nobody else listens");
        reports.read_line(&mut line).expect("the child speaks UTF-8");
        assert!(line.ends_with('\n'), "the child has ended; its error stands above");
        line.trim_end().to_owned()
    }

    /// Waits until it says this.
    pub(crate) fn await_report(&mut self, expected: &str) {
        assert_eq!(self.hear(), expected, "said by the child");
    }

    /// Lets it say what it wants from now on, at full speed.
    pub(crate) fn ignore(&mut self) {
        let mut reports = self.reports.take().expect("nobody else listens");
        thread::spawn(move || io::copy(&mut reports, &mut io::sink()));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It fails if the child has ended by itself.
        kill_process(Pid::from_child(&self.process), Signal::TERM).ok();
        self.process.wait().expect("nobody else waits for it");
    }
}
