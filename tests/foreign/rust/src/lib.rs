//! What the Rust servers have in common: arguments, the text of a push, and a room of clients with bounded queues.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub mod queue;

pub const LARGEST: usize = 64 * 1024;

/// Echoes that wait for one client before nothing more is read from it.
pub const ECHOES_WAITING: usize = 16;

/// Pushes that wait for one client before it is too slow and is cut off.
pub const PUSHES_WAITING: usize = 4;

/// The single mistakes that `--defect` makes.
const DEFECTS: [&str; 9] = [
    "none",
    "drops-when-full",
    "queues-without-bound",
    "trims-commands",
    "drifts",
    "utc-text",
    "ends-with-1000",
    "panics-on-offence",
    "late-for-some",
];

#[derive(Debug, Clone)]
pub struct Options {
    pub port: u16,
    pub period: Duration,
    defect: String,
}

impl Options {
    /// # Panics
    ///
    /// The arguments are not `PORT [--period SECONDS] [--defect NAME]`.
    pub fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let after = |name: &str| {
            let place = arguments.iter().position(|argument| argument == name)?;
            arguments.get(place + 1).cloned()
        };
        let seconds: f64 = after("--period").map_or(300.0, |period| period.parse().expect("seconds"));
        let defect = after("--defect").unwrap_or_else(|| "none".to_owned());
        assert!(DEFECTS.contains(&defect.as_str()), "no such defect: {defect}");
        let port = arguments.first().and_then(|port| port.parse().ok()).expect("a port");
        Self { port, period: Duration::from_secs_f64(seconds), defect }
    }

    pub fn has(&self, defect: &str) -> bool {
        self.defect == defect
    }

    /// The code with which the server says goodbye.
    pub fn end_code(&self) -> u16 {
        if self.has("ends-with-1000") { 1000 } else { 1001 }
    }
}

/// `Server push message at …` in the system's time zone.
pub fn push_text(options: &Options, instant: SystemTime) -> String {
    let seconds = instant.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as libc::time_t;
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    unsafe {
        if options.has("utc-text") {
            libc::gmtime_r(&seconds, &mut parts);
        } else {
            libc::localtime_r(&seconds, &mut parts);
        }
    }
    format!(
        "Server push message at {:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        parts.tm_year + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec
    )
}

/// Calls `walk` once per cycle, on one grid for all clients. A cycle that is over a third of a period late is skipped.
pub fn run_schedule(options: &Options, mut walk: impl FnMut(String)) {
    let start = Instant::now();
    for cycle in 1.. {
        let mut due = start + options.period * cycle;
        if options.has("drifts") {
            due += options.period * cycle / 40;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let late = due.elapsed();
        if late <= options.period / 3 {
            walk(push_text(options, SystemTime::now() - late));
        }
    }
}

/// What a text asks for.
pub enum Request {
    Subscribe(bool),
    Echo(String),
}

pub fn understand(options: &Options, text: &str) -> Request {
    match if options.has("trims-commands") { text.trim() } else { text } {
        "subscribe" => Request::Subscribe(true),
        "unsubscribe" => Request::Subscribe(false),
        _ => Request::Echo(format!("Server received: {text}")),
    }
}

/// A client as the walk sees it. `Outlet` is the sending half of its queue.
pub struct Member<Outlet> {
    pub number: u64,
    pub is_subscribed: AtomicBool,
    pub outlet: Outlet,
}

pub struct Room<Outlet> {
    pub options: Options,
    members: Mutex<Vec<std::sync::Arc<Member<Outlet>>>>,
    numbers: AtomicU64,
}

impl<Outlet> Room<Outlet> {
    pub fn new(options: Options) -> Self {
        Self { options, members: Mutex::new(Vec::new()), numbers: AtomicU64::new(0) }
    }

    pub fn join(&self, outlet: Outlet) -> std::sync::Arc<Member<Outlet>> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let member = std::sync::Arc::new(Member { number, is_subscribed: AtomicBool::new(true), outlet });
        self.members.lock().expect("no panic").push(std::sync::Arc::clone(&member));
        member
    }

    pub fn leave(&self, number: u64) {
        self.members.lock().expect("no panic").retain(|member| member.number != number);
    }

    pub fn members(&self) -> Vec<std::sync::Arc<Member<Outlet>>> {
        self.members.lock().expect("no panic").clone()
    }

    pub fn is_empty(&self) -> bool {
        self.members.lock().expect("no panic").is_empty()
    }

    pub fn subscribers(&self) -> Vec<std::sync::Arc<Member<Outlet>>> {
        let mut members = self.members();
        members.retain(|member| member.is_subscribed.load(Ordering::SeqCst));
        members
    }
}
