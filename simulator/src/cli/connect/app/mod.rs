//! A terminal client that behaves as the app of the seed document would.
//!
//! It says hello when a connection opens, sends heartbeats from a timer of its own, has a switch for the pushes, and
//! comes back when the connection is gone. What arrives is printed with its local time, what happens to the connection
//! likewise, behind an asterisk:
//!
//! ```text
//! 12:00:00.004  * connected
//! 12:00:00.006  Server received: Hello, Server!
//! 12:05:00.002  Server push message at 2026-11-22 12:05:00
//! 12:07:31.480  * closed by the server: 1001 the server is shutting down, reconnecting in 0.3 s
//! ```
//!
//! This is a client of real servers on real time: nothing in here is simulated, and nothing in here is repeatable.

use std::collections::VecDeque;
use std::fmt;
use std::future::{pending, poll_fn};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::mem;
use std::pin::pin;
use std::time::Duration;

use carillon_server::log::escape;
use carillon_server::protocol::{SUBSCRIBE, UNSUBSCRIBE};
use chrono::Local;
use futures::future::join;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Split};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{Response, Uri};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use carillon_simulator::live::{Trust, explain, is_final};

/// What the app says when a connection opens.
const HELLO: &str = "Hello, Server!";

/// What the app says from its timer.
const HEARTBEAT: &str = "Heartbeat";

/// What is said of a server that is given up.
const SILENCE: &str = "no sign of life from the server since the last heartbeat";

/// How long a server may take to accept the connection and to answer the handshake.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// How long the end of a connection may take once a Close was sent or received.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

/// The longest wait before the first attempt to reconnect; it doubles with every attempt after it.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait before any attempt to reconnect.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How much of a refusal's body is shown.
const SHOWN_OF_BODY: usize = 200;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Sink = SplitSink<Socket, Message>;
type Stream = SplitStream<Socket>;

/// What the client is to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The server, such as `ws://127.0.0.1:8080/ws`.
    pub(crate) url: String,
    /// The time between two heartbeats; zero means none. A server that is silent from one to the next is given up.
    pub(crate) heartbeat: Duration,
    /// Whether to come back when the connection is refused or gone.
    pub(crate) reconnect: bool,
    /// Whose certificates are trusted, if the URL asks for TLS.
    pub(crate) trust: Trust,
}

#[cfg(test)]
impl Options {
    /// Heartbeats every 15 minutes, and back whenever the connection is gone.
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            heartbeat: Duration::from_secs(15 * 60),
            reconnect: true,
            trust: Trust::default(),
        }
    }
}

/// Why the client gave up.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum ConnectError {
    /// The connection or the handshake was refused, and the client was told not to try again. Start it again once the
    /// server is up, or let it reconnect.
    Refused {
        /// The URL as it was given.
        url: String,
        /// What happened.
        cause: String,
    },
    /// There is no TLS with the server. Its certificate, or what is said to trust, has to change first.
    Tls {
        /// The URL as it was given.
        url: String,
        /// What is wrong, and what to do about it.
        cause: String,
    },
    /// The input could not be read or the output not be written; there is nobody left to serve.
    Terminal(io::Error),
    /// No server can be reached under this URL: correct it.
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { url, cause } | Self::Tls { url, cause } => {
                write!(f, "could not connect to {url}: {cause}")
            }
            Self::Terminal(error) => write!(f, "could not use the terminal: {error}"),
            Self::Url { url, cause } => write!(f, "cannot use the URL {url:?}: {cause}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Terminal(error) => Some(error),
            Self::Refused { .. } | Self::Tls { .. } | Self::Url { .. } => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

/// Connects and talks until the input says `quit`; with `reconnect` off, until the connection is gone.
///
/// Lines of `input`: `on` and `off` flip the switch, `quit` closes, every other line is sent as it is. Lines wait
/// while a connection is being opened. In the pause before the next attempt `on`, `off` and `quit` are obeyed and
/// other lines are refused. The end of the input ends nothing: the client goes on listening. Dropping the future is
/// safe at any time; the server then sees the connection cut off without a Close.
///
/// # Errors
///
/// A URL that cannot work, a server that there is no TLS with, a terminal that fails, and, with `reconnect` off, a server
/// that refuses.
pub(crate) async fn run(
    options: Options,
    input: impl AsyncRead + Unpin,
    output: impl Write,
) -> Result<(), ConnectError> {
    check(&options.url)?;
    let is_secure = options.url.starts_with("wss:");
    let connector = if is_secure { Connector::Rustls(options.trust.config()) } else { Connector::Plain };
    let mut app = App { input: Input::new(input), output, heartbeat: options.heartbeat, wants_pushes: true };
    let mut backoff = Backoff::new(RandomState::new().build_hasher().finish());
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
            return Ok(app.say(&cause)?);
        }
        let wait = backoff.next_wait();
        app.say(&format!("{cause}, reconnecting in {:.1} s", wait.as_secs_f64()))?;
        if !app.pause(wait).await? {
            return Ok(());
        }
    }
}

/// The person's side: what they type, what they see, and where their switch stands.
struct App<R, W> {
    input: Input<R>,
    output: W,
    heartbeat: Duration,
    wants_pushes: bool,
}

impl<R: AsyncRead + Unpin, W: Write> App<R, W> {
    /// Serves one connection to its end: `None` if the person left, else what ended it.
    ///
    /// Sending never keeps it from reading: a server that stops reading until its replies are read would wait forever.
    async fn talk(&mut self, socket: Socket, backoff: &mut Backoff) -> Result<Option<String>, ConnectError> {
        self.say("connected")?;
        let (mut sink, mut stream) = socket.split();
        let mut outgoing = self.greeting();
        let (mut is_sending, mut was_heard) = (true, false);
        let mut heartbeat = pin!(timer(self.heartbeat));
        loop {
            // The order of the arms is drawn anew each time, so no flood of one kind starves the others.
            tokio::select! {
                arrived = stream.next() => {
                    if let Some(cause) = self.take(arrived, &mut stream).await? {
                        return Ok(Some(cause));
                    }
                    was_heard = true;
                    backoff.reset();
                }
                sent = send(&mut sink, &mut outgoing), if is_sending => {
                    is_sending = false;
                    if let Err(error) = sent {
                        return self.explain(error, &mut stream).await.map(Some);
                    }
                }
                line = self.input.next(), if !is_sending => match line? {
                    Line::Quit => return self.leave(sink, stream).await.map(|()| None),
                    line => {
                        outgoing.extend(self.obey(line)?);
                        is_sending = !outgoing.is_empty();
                    }
                },
                () = &mut heartbeat => {
                    if !mem::take(&mut was_heard) {
                        return Ok(Some(SILENCE.to_owned()));
                    }
                    outgoing.push_back(HEARTBEAT.into());
                    is_sending = true;
                    heartbeat.set(timer(self.heartbeat));
                }
            }
        }
    }

    /// Shows what arrived; what ended the connection, if that is what it was.
    async fn take(
        &mut self,
        arrived: Option<Result<Message, Error>>,
        stream: &mut Stream,
    ) -> Result<Option<String>, ConnectError> {
        match arrived {
            Some(Ok(Message::Close(frame))) => {
                self.listen_to_the_end(stream).await?;
                Ok(Some(closed(frame)))
            }
            Some(Ok(message)) => {
                self.show(&message)?;
                Ok(None)
            }
            Some(Err(error)) => Ok(Some(lost(&error))),
            None => Ok(Some("connection lost".to_owned())),
        }
    }

    /// Why nothing can be sent any more: a Close that waits to be read knows better than the socket's error.
    async fn explain(&mut self, error: Error, stream: &mut Stream) -> Result<String, ConnectError> {
        let told = self.listen_to_the_end(stream).await?;
        Ok(told.unwrap_or_else(|| lost(&error)))
    }

    /// A new connection is subscribed (G1), so a switch that is off has to be told again, and before the hello: the
    /// answer to that is then the proof that it was understood.
    fn greeting(&self) -> VecDeque<Message> {
        let command = (!self.wants_pushes).then(|| UNSUBSCRIBE.into());
        command.into_iter().chain([HELLO.into()]).collect()
    }

    /// What a line makes the app send.
    fn obey(&mut self, line: Line) -> io::Result<Option<Message>> {
        match line {
            Line::Garbled => self.say("not sent, because it is not UTF-8").map(|()| None),
            Line::Quit => Ok(None),
            Line::Switch(on) => {
                self.wants_pushes = on;
                Ok(Some(if on { SUBSCRIBE } else { UNSUBSCRIBE }.into()))
            }
            Line::Text(text) => Ok(Some(text.into())),
        }
    }

    /// Waits, obeying the lines that need no connection; `false` if the person left.
    async fn pause(&mut self, wait: Duration) -> Result<bool, ConnectError> {
        let mut over = pin!(sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return Ok(true),
                line = self.input.next() => match line? {
                    Line::Quit => return Ok(false),
                    Line::Switch(on) => {
                        self.wants_pushes = on;
                        self.say(if on { "on, once connected" } else { "off, once connected" })?;
                    }
                    Line::Garbled | Line::Text(_) => self.say("not sent, because there is no connection")?,
                },
            }
        }
    }

    /// Closes from this side, and shows what was on its way.
    async fn leave(&mut self, mut sink: Sink, mut stream: Stream) -> Result<(), ConnectError> {
        let close = Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
        let sending = timeout(FAREWELL_LIMIT, sink.send(close));
        let (sent, told) = join(sending, self.listen_to_the_end(&mut stream)).await;
        let was_clean = told?.is_some() && matches!(sent, Ok(Ok(())));
        Ok(self.say(if was_clean { "closed" } else { "gone, without a Close from the server" })?)
    }

    /// Shows what still arrives, for a bounded time: what the server's Close says, if one is among it.
    ///
    /// Reading on is also what sends the answer to a Close.
    async fn listen_to_the_end(&mut self, stream: &mut Stream) -> Result<Option<String>, ConnectError> {
        let mut told = None;
        let reading = async {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Close(frame) => told = Some(closed(frame)),
                    message => self.show(&message)?,
                }
            }
            Ok::<(), io::Error>(())
        };
        // A server that does not hang up in time is left as it is.
        timeout(FAREWELL_LIMIT, reading).await.unwrap_or(Ok(()))?;
        Ok(told)
    }

    /// Prints what arrived; control frames are tungstenite's business.
    fn show(&mut self, message: &Message) -> io::Result<()> {
        match message {
            Message::Binary(bytes) => self.print(&format!("({} bytes of binary)", bytes.len())),
            Message::Text(text) => self.print(&escape(text)),
            _ => Ok(()),
        }
    }

    /// Prints what became of the connection.
    fn say(&mut self, state: &str) -> io::Result<()> {
        self.print(&format!("* {state}"))
    }

    fn print(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.output, "{}  {line}", Local::now().format("%H:%M:%S%.3f"))?;
        self.output.flush()
    }
}

/// Refuses what cannot be a server's address, before anything is tried.
fn check(url: &str) -> Result<(), ConnectError> {
    let cause = match url.split_once("://") {
        Some(("ws" | "wss", _)) => match url.into_client_request() {
            Ok(request) if has_usable_port(request.uri()) => return Ok(()),
            Ok(_) => "its port is not a number up to 65535".to_owned(),
            Err(Error::Url(cause)) => cause.to_string(),
            Err(Error::HttpFormat(cause)) => format!("it does not parse: {cause}"),
            Err(error) => error.to_string(),
        },
        _ => "it must begin with ws:// or wss://".to_owned(),
    };
    let url = url.to_owned();
    Err(ConnectError::Url { url, cause })
}

/// Whether the port is absent or one: a port that is neither would be taken for the default one.
fn has_usable_port(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| {
        authority.port_u16().is_some() || authority.as_str().ends_with(authority.host())
    })
}

async fn open(url: &str, connector: Connector) -> Result<Socket, ConnectError> {
    // Without Nagle's algorithm: a line is to leave when it is typed.
    let opening = connect_async_tls_with_config(url, None, true, Some(connector));
    let cause = match timeout(OPEN_LIMIT, opening).await {
        Ok(Ok((socket, _))) => return Ok(socket),
        Ok(Err(Error::Url(cause))) => {
            return Err(ConnectError::Url { url: url.to_owned(), cause: cause.to_string() });
        }
        Ok(Err(Error::Http(response))) => refusal(&response),
        Ok(Err(Error::Io(error))) => match explain(&host(url), &error) {
            Some(cause) if is_final(&error) => {
                return Err(ConnectError::Tls { url: url.to_owned(), cause });
            }
            Some(cause) => cause,
            None => error.to_string(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", OPEN_LIMIT.as_secs()),
    };
    Err(ConnectError::Refused { url: url.to_owned(), cause })
}

/// The host that a URL names; it has one, for it was checked.
fn host(url: &str) -> String {
    url.parse().ok().and_then(|uri: Uri| uri.host().map(str::to_owned)).unwrap_or_default()
}

/// The status of a handshake that was answered with anything but an upgrade, and the server's sentence about it.
fn refusal(response: &Response<Option<Vec<u8>>>) -> String {
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
    let sentence: String = body.trim().chars().take(SHOWN_OF_BODY).collect();
    let separator = if sentence.is_empty() { "" } else { ": " };
    format!("the server answered {}{separator}{}", response.status(), escape(&sentence))
}

/// Hands the queue to the socket. It can be dropped and called again: a message leaves the queue with its last poll.
async fn send(sink: &mut Sink, outgoing: &mut VecDeque<Message>) -> Result<(), Error> {
    while !outgoing.is_empty() {
        poll_fn(|context| sink.poll_ready_unpin(context)).await?;
        outgoing.pop_front().map_or(Ok(()), |message| sink.start_send_unpin(message))?;
    }
    sink.flush().await
}

fn closed(frame: Option<CloseFrame>) -> String {
    match frame {
        Some(frame) if frame.reason.is_empty() => format!("closed by the server: {}", frame.code),
        Some(frame) => format!("closed by the server: {} {}", frame.code, escape(&frame.reason)),
        None => "closed by the server, without a code".to_owned(),
    }
}

fn lost(error: &Error) -> String {
    match error {
        Error::Io(error) => format!("connection lost: {error}"),
        error => format!("connection lost: {error}"),
    }
}

/// Ends after `period`; after zero, never.
async fn timer(period: Duration) {
    if period.is_zero() { pending().await } else { sleep(period).await }
}

/// One typed line.
enum Line {
    /// Not UTF-8, so no text message.
    Garbled,
    Quit,
    /// The switch, or the command that it stands for: spelled out, it must move the switch too, or a reconnect would
    /// undo it.
    Switch(bool),
    Text(String),
}

/// The typed lines, one at a time.
struct Input<R> {
    /// `None` once the input has ended.
    lines: Option<Split<BufReader<R>>>,
}

impl<R: AsyncRead + Unpin> Input<R> {
    fn new(input: R) -> Self {
        Self { lines: Some(BufReader::new(input).split(b'\n')) }
    }

    /// The next line; pending forever once the input has ended. Dropping it loses nothing.
    async fn next(&mut self) -> io::Result<Line> {
        let Some(lines) = &mut self.lines else {
            return pending().await;
        };
        match lines.next_segment().await? {
            Some(line) => Ok(parse(line)),
            None => {
                self.lines = None;
                pending().await
            }
        }
    }
}

fn parse(mut line: Vec<u8>) -> Line {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match String::from_utf8(line) {
        Err(_) => Line::Garbled,
        Ok(text) => match text.as_str() {
            "off" | UNSUBSCRIBE => Line::Switch(false),
            "on" | SUBSCRIBE => Line::Switch(true),
            "quit" => Line::Quit,
            _ => Line::Text(text),
        },
    }
}

/// How long to wait before each attempt to reconnect.
struct Backoff {
    seed: u64,
    attempts: u32,
}

impl Backoff {
    fn new(seed: u64) -> Self {
        Self { seed, attempts: 0 }
    }

    fn next_wait(&mut self) -> Duration {
        let ceiling = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.attempts)).min(LONGEST_WAIT);
        self.attempts += 1;
        self.seed = self.seed.wrapping_add(1);
        jitter(self.seed, ceiling)
    }

    /// Starts again from the shortest wait. To be called when the server has said something, not when it has merely
    /// accepted: one that accepts and hangs up would be called twice a second.
    fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Anything from nothing up to `ceiling`, so that the clients which one server lost do not come back all at once.
fn jitter(seed: u64, ceiling: Duration) -> Duration {
    // The output function of SplitMix64: seeds that lie side by side end far apart.
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    ceiling.mul_f64((bits >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
