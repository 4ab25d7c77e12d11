//! A terminal client that behaves as the original app.
//!
//! The client sends a greeting when a connection opens, sends heartbeats from its own timer, has a switch for the
//! pushes, and reconnects when the connection is lost. It prints each message with its local time. Lines with an
//! asterisk are about the connection:
//!
//! ```text
//! 12:00:00.001  * type on or off for the switch, quit to leave; any other line is sent
//! 12:00:00.004  * connected
//! 12:00:00.006  Server received: Hello, Server!
//! 12:05:00.002  Server push message at 2026-11-22 12:05:00
//! 12:07:31.480  * closed by the server: 1001 the server is shutting down, reconnecting in 0.3 s
//! ```
//!
//! This is a client of real servers in real time: nothing in here is simulated or repeatable.

mod error;
mod keyboard;
mod opening;
mod screen;
mod session;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::time::Duration;

use carillon_simulator::Rng;
use carillon_simulator::live::{Backoff, Trust};
use tokio::io::AsyncRead;
use tokio_tungstenite::Connector;

use self::keyboard::Input;
use self::opening::{check, open};
use self::screen::Screen;
use self::session::App;

pub(crate) use self::error::ConnectError;

/// The ceiling of the wait before the first attempt to reconnect.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait before any attempt to reconnect.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The first line that the client prints.
const HELP: &str = "type on or off for the switch, quit to leave; any other line is sent";

/// What the client connects to, and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The server, such as `ws://127.0.0.1:8080/ws`.
    pub(crate) url: String,
    /// The time between two heartbeats; zero means none. The client drops a connection on which the server is silent
    /// from one heartbeat to the next.
    pub(crate) heartbeat: Duration,
    /// Whether to reconnect when the server refuses the connection or the connection is lost.
    pub(crate) reconnect: bool,
    /// Which certificates the client trusts, if the URL asks for TLS.
    pub(crate) trust: Trust,
}

#[cfg(test)]
impl Options {
    /// Heartbeats every 15 minutes, and reconnects whenever the connection is lost.
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            heartbeat: Duration::from_secs(15 * 60),
            reconnect: true,
            trust: Trust::default(),
        }
    }
}

/// Connects and passes messages until the input says `quit`; with `reconnect` off, until the connection is lost.
///
/// Lines of `input`: `on` and `off` set the switch, `quit` closes the connection, any other line is sent unchanged.
/// Lines wait while a connection is being opened. In the pause before the next attempt the client obeys `on`, `off`
/// and `quit` and refuses other lines. After the end of the input the client still prints what arrives. The future
/// may be dropped at any time; the server then sees a connection that ends without a Close.
///
/// # Errors
///
/// A URL that cannot work, a failed TLS handshake, a terminal that fails, and, with `reconnect` off, a server that
/// refuses the connection.
pub(crate) async fn run(
    options: Options,
    input: impl AsyncRead + Unpin,
    output: impl Write,
) -> Result<(), ConnectError> {
    check(&options.url)?;
    let is_secure = options.url.starts_with("wss:");
    let connector = if is_secure { Connector::Rustls(options.trust.config()) } else { Connector::Plain };
    let mut app = App {
        input: Input::new(input),
        screen: Screen(output),
        heartbeat: options.heartbeat,
        wants_pushes: true,
    };
    app.screen.say(HELP)?;
    let random = Rng::new(RandomState::new().build_hasher().finish());
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, random);
    loop {
        let lost = match open(&options.url, connector.clone()).await {
            Ok(socket) => app.talk(socket, &mut backoff).await?,
            Err(ConnectError::Refused { cause, .. }) if options.reconnect => {
                Some(format!("could not connect: {cause}"))
            }
            Err(error) => return Err(error),
        };
        let Some(cause) = lost else { return Ok(()) };
        if !options.reconnect {
            return Ok(app.screen.say(&cause)?);
        }
        let wait = backoff.next_wait();
        app.screen.say(&format!("{cause}, reconnecting in {:.1} s", wait.as_secs_f64()))?;
        if !app.pause(wait).await? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
