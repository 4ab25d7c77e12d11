//! Another process of the same binary. An environment variable gives its role, and both sides exchange lines of text.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

const ROLE: &str = "CARILLON_BENCH_ROLE";

/// The role of this process, in words; `None` if it is not a child.
pub(crate) fn role() -> Option<Vec<String>> {
    let role = env::var(ROLE).ok()?;
    Some(role.split(' ').map(str::to_owned).collect())
}

/// Sends a line to the parent process.
pub(crate) fn report(line: &str) {
    println!("{line}");
}

/// The lines of the parent process, until it closes the pipe.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    io::stdin().lines().map_while(Result::ok)
}

/// A child process. Dropping the value ends the process and waits for it.
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

    /// Sends a line to the child.
    pub(crate) fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").expect("the child listens");
    }

    /// The next line of the child.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        let reports = self.reports.as_mut().expect("no other code reads it");
        reports.read_line(&mut line).expect("the child speaks UTF-8");
        assert!(line.ends_with('\n'), "the child has ended; its error stands above");
        line.trim_end().to_owned()
    }

    /// Waits for this line of the child.
    pub(crate) fn await_report(&mut self, expected: &str) {
        assert_eq!(self.hear(), expected, "said by the child");
    }

    /// Discards all further lines of the child, so that it never waits.
    pub(crate) fn ignore(&mut self) {
        let mut reports = self.reports.take().expect("no other code reads it");
        thread::spawn(move || io::copy(&mut reports, &mut io::sink()));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It fails if the child has ended by itself.
        kill_process(Pid::from_child(&self.process), Signal::TERM).ok();
        self.process.wait().expect("no other code waits for it");
    }
}
