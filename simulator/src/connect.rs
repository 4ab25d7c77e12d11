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
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

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
pub struct Options {
    /// The server, such as `ws://127.0.0.1:8080/ws`.
    pub url: String,
    /// The time between two heartbeats; zero means none. A server that is silent from one to the next is given up.
    pub heartbeat: Duration,
    /// Whether to come back when the connection is refused or gone.
    pub reconnect: bool,
}

impl Options {
    /// Heartbeats every 15 minutes, and back whenever the connection is gone.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            heartbeat: Duration::from_secs(15 * 60),
            reconnect: true,
        }
    }
}

/// Why the client gave up.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection or the handshake was refused, and the client was told not to try again. Start it again once the
    /// server is up, or let it reconnect.
    Refused {
        /// The URL as it was given.
        url: String,
        /// What happened.
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
            Self::Refused { url, cause } => write!(f, "could not connect to {url}: {cause}"),
            Self::Terminal(error) => write!(f, "could not use the terminal: {error}"),
            Self::Url { url, cause } => write!(f, "cannot use the URL {url:?}: {cause}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Terminal(error) => Some(error),
            Self::Refused { .. } | Self::Url { .. } => None,
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
/// A URL that cannot work, a terminal that fails, and, with `reconnect` off, a server that refuses.
pub async fn run(
    options: Options,
    input: impl AsyncRead + Unpin,
    output: impl Write,
) -> Result<(), ConnectError> {
    check(&options.url)?;
    let mut app = App {
        input: Input::new(input),
        output,
        heartbeat: options.heartbeat,
        wants_pushes: true,
    };
    let mut backoff = Backoff::new(RandomState::new().build_hasher().finish());
    loop {
        let lost = match open(&options.url).await {
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
        let close = Message::Close(Some(CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        }));
        let sending = timeout(FAREWELL_LIMIT, sink.send(close));
        let (sent, told) = join(sending, self.listen_to_the_end(&mut stream)).await;
        let was_clean = told?.is_some() && matches!(sent, Ok(Ok(())));
        Ok(self.say(if was_clean {
            "closed"
        } else {
            "gone, without a Close from the server"
        })?)
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

async fn open(url: &str) -> Result<Socket, ConnectError> {
    // Without Nagle's algorithm: a line is to leave when it is typed.
    let opening = connect_async_with_config(url, None, true);
    let cause = match timeout(OPEN_LIMIT, opening).await {
        Ok(Ok((socket, _))) => return Ok(socket),
        Ok(Err(Error::Url(cause))) => {
            return Err(ConnectError::Url {
                url: url.to_owned(),
                cause: cause.to_string(),
            });
        }
        Ok(Err(Error::Http(response))) => refusal(&response),
        Ok(Err(Error::Io(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", OPEN_LIMIT.as_secs()),
    };
    Err(ConnectError::Refused {
        url: url.to_owned(),
        cause,
    })
}

/// The status of a handshake that was answered with anything but an upgrade, and the server's sentence about it.
fn refusal(response: &Response<Option<Vec<u8>>>) -> String {
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
    let sentence: String = body.trim().chars().take(SHOWN_OF_BODY).collect();
    let separator = if sentence.is_empty() { "" } else { ": " };
    format!(
        "the server answered {}{separator}{}",
        response.status(),
        escape(&sentence)
    )
}

/// Hands the queue to the socket. It can be dropped and called again: a message leaves the queue with its last poll.
async fn send(sink: &mut Sink, outgoing: &mut VecDeque<Message>) -> Result<(), Error> {
    while !outgoing.is_empty() {
        poll_fn(|context| sink.poll_ready_unpin(context)).await?;
        outgoing
            .pop_front()
            .map_or(Ok(()), |message| sink.start_send_unpin(message))?;
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
    if period.is_zero() {
        pending().await
    } else {
        sleep(period).await
    }
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
        Self {
            lines: Some(BufReader::new(input).split(b'\n')),
        }
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
        let ceiling = FIRST_WAIT
            .saturating_mul(2_u32.saturating_pow(self.attempts))
            .min(LONGEST_WAIT);
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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, empty};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio_tungstenite::accept_async;

    use super::*;

    /// Far beyond what any of these takes; a test that hangs is to fail and not to hang.
    const PATIENCE: Duration = Duration::from_secs(30);

    type Accepted = WebSocketStream<TcpStream>;

    /// A real server on loopback whose every move the test makes.
    struct Server {
        listener: TcpListener,
    }

    impl Server {
        async fn start() -> Self {
            Self {
                listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            }
        }

        fn options(&self) -> Options {
            let url = format!("ws://{}/ws", self.listener.local_addr().unwrap());
            Options {
                url,
                heartbeat: Duration::ZERO,
                reconnect: false,
            }
        }

        async fn accept(&self) -> Accepted {
            accept_async(self.listener.accept().await.unwrap().0)
                .await
                .unwrap()
        }

        async fn answer_with(&self, response: &str) {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    }

    /// An address that refuses for as long as the socket lives: bound, so that nobody else gets its port, and deaf.
    fn refusing() -> (TcpSocket, Options) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("ws://{}/ws", socket.local_addr().unwrap());
        (
            socket,
            Options {
                reconnect: false,
                ..Options::new(url)
            },
        )
    }

    async fn text_from(client: &mut Accepted) -> String {
        client
            .next()
            .await
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap()
            .to_string()
    }

    /// Closes, waits for the answer and hangs up.
    async fn close(mut client: Accepted, code: u16, reason: &str) {
        client
            .close(Some(CloseFrame {
                code: code.into(),
                reason: reason.into(),
            }))
            .await
            .unwrap();
        while client.next().await.is_some() {}
    }

    /// Reads to the end of the connection: the code of the client's Close.
    async fn close_code_from(client: &mut Accepted) -> Option<u16> {
        let mut code = None;
        while let Some(Ok(message)) = client.next().await {
            if let Message::Close(frame) = message {
                code = frame.map(|frame| frame.code.into());
            }
        }
        code
    }

    async fn echo_all(client: &mut Accepted) {
        while let Some(Ok(message)) = client.next().await {
            if let Message::Text(text) = message {
                client
                    .send(format!("Server received: {text}").into())
                    .await
                    .unwrap();
            }
        }
    }

    /// Runs the client against `server`, which is handed the far end of its keyboard; returns what was printed.
    async fn play<F: Future>(
        options: Options,
        server: impl FnOnce(DuplexStream) -> F,
    ) -> (Result<(), ConnectError>, String) {
        let (keyboard, input) = duplex(1 << 16);
        let mut output = Vec::new();
        let both = join(run(options, input, &mut output), server(keyboard));
        let (result, _) = timeout(PATIENCE, both)
            .await
            .expect("the client is to end in time");
        (result, String::from_utf8(output).unwrap())
    }

    /// What was printed, without the times.
    fn texts(output: &str) -> Vec<&str> {
        output
            .lines()
            .map(|line| &line["00:00:00.000  ".len()..])
            .collect()
    }

    #[tokio::test]
    async fn it_says_hello_and_prints_the_answer_with_its_time() {
        let server = Server::start().await;
        let (result, output) = play(server.options(), |_keyboard| async {
            let mut client = server.accept().await;
            assert_eq!(text_from(&mut client).await, "Hello, Server!");
            client
                .send("Server received: Hello, Server!".into())
                .await
                .unwrap();
            close(client, 1001, "the server is shutting down").await;
        })
        .await;
        result.unwrap();
        let expected = [
            "* connected",
            "Server received: Hello, Server!",
            "* closed by the server: 1001 the server is shutting down",
        ];
        assert_eq!(texts(&output), expected);
        for line in output.lines() {
            let shape: String = line[..14]
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            assert_eq!(shape, "00:00:00.000  ");
        }
    }

    #[tokio::test]
    async fn the_switch_sends_commands_and_other_lines_go_as_they_are() {
        let server = Server::start().await;
        let (result, _) = play(server.options(), |mut keyboard| async move {
            let mut client = server.accept().await;
            keyboard
                .write_all("off\non\r\n on \n\n你好\nquit\n".as_bytes())
                .await
                .unwrap();
            for expected in ["Hello, Server!", "unsubscribe", "subscribe", " on ", "", "你好"] {
                assert_eq!(text_from(&mut client).await, expected);
            }
            assert_eq!(close_code_from(&mut client).await, Some(1000));
        })
        .await;
        result.unwrap();
    }

    #[tokio::test]
    async fn a_person_who_leaves_still_sees_what_was_under_way() {
        let server = Server::start().await;
        let (result, output) = play(server.options(), |mut keyboard| async move {
            keyboard.write_all(b"last words\nquit\n").await.unwrap();
            echo_all(&mut server.accept().await).await;
        })
        .await;
        result.unwrap();
        let expected = [
            "* connected",
            "Server received: Hello, Server!",
            "Server received: last words",
            "* closed",
        ];
        assert_eq!(texts(&output), expected);
    }

    #[tokio::test]
    async fn after_a_reconnect_a_switch_that_is_off_is_told_again_and_before_the_hello() {
        let server = Server::start().await;
        let options = Options {
            reconnect: true,
            ..server.options()
        };
        let (result, output) = play(options, |mut keyboard| async move {
            let mut client = server.accept().await;
            assert_eq!(text_from(&mut client).await, "Hello, Server!");
            // Spelled out, the command moves the switch as `off` does.
            keyboard.write_all(b"unsubscribe\n").await.unwrap();
            assert_eq!(text_from(&mut client).await, "unsubscribe");
            close(client, 1001, "").await;

            let mut client = server.accept().await;
            assert_eq!(text_from(&mut client).await, "unsubscribe");
            assert_eq!(text_from(&mut client).await, "Hello, Server!");
            keyboard.write_all(b"on\n").await.unwrap();
            assert_eq!(text_from(&mut client).await, "subscribe");
            drop(client);

            let mut client = server.accept().await;
            assert_eq!(text_from(&mut client).await, "Hello, Server!");
            keyboard.write_all(b"quit\n").await.unwrap();
            assert_eq!(close_code_from(&mut client).await, Some(1000));
        })
        .await;
        result.unwrap();
        let printed = texts(&output);
        assert_eq!(
            printed.iter().filter(|text| **text == "* connected").count(),
            3,
            "{printed:#?}"
        );
        assert!(
            printed[1].starts_with("* closed by the server: 1001, reconnecting in 0."),
            "{printed:#?}"
        );
        assert!(printed[3].starts_with("* connection lost"), "{printed:#?}");
    }

    #[tokio::test]
    async fn the_end_of_the_input_ends_nothing() {
        let server = Server::start().await;
        let mut output = Vec::new();
        let serving = async {
            let mut client = server.accept().await;
            assert_eq!(text_from(&mut client).await, "Hello, Server!");
            client
                .send("Server push message at 2026-11-22 12:00:00".into())
                .await
                .unwrap();
            client.send(Message::Binary(vec![1, 2, 3].into())).await.unwrap();
            close(client, 1001, "").await;
        };
        let (result, ()) = timeout(
            PATIENCE,
            join(run(server.options(), empty(), &mut output), serving),
        )
        .await
        .unwrap();
        result.unwrap();
        let output = String::from_utf8(output).unwrap();
        assert_eq!(
            texts(&output)[1..3],
            [
                "Server push message at 2026-11-22 12:00:00",
                "(3 bytes of binary)"
            ]
        );
    }

    #[tokio::test]
    async fn heartbeats_come_from_a_timer() {
        let server = Server::start().await;
        let options = Options {
            heartbeat: Duration::from_millis(500),
            ..server.options()
        };
        let (result, _) = play(options, |mut keyboard| async move {
            let mut client = server.accept().await;
            for expected in ["Hello, Server!", "Heartbeat", "Heartbeat"] {
                let text = text_from(&mut client).await;
                assert_eq!(text, expected);
                client
                    .send(format!("Server received: {text}").into())
                    .await
                    .unwrap();
            }
            keyboard.write_all(b"quit\n").await.unwrap();
            assert_eq!(close_code_from(&mut client).await, Some(1000));
        })
        .await;
        result.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_between_two_heartbeats_is_given_up() {
        let server = Server::start().await;
        let options = Options {
            heartbeat: Duration::from_millis(50),
            ..server.options()
        };
        let (result, output) = play(options, |_keyboard| async move {
            let mut client = server.accept().await;
            assert_eq!(text_from(&mut client).await, "Hello, Server!");
            assert_eq!(close_code_from(&mut client).await, None);
        })
        .await;
        result.unwrap();
        assert_eq!(
            texts(&output)[1],
            "* no sign of life from the server since the last heartbeat"
        );
    }

    #[tokio::test]
    async fn a_flood_of_lines_does_not_lock_it_up_against_a_server_that_answers_before_it_reads_on() {
        // 1,000 lines of 16 KiB are far more than the socket buffers of both directions hold.
        let server = Server::start().await;
        let line = "x".repeat(16 * 1024);
        let (result, output) = play(server.options(), |mut keyboard| async move {
            let typing = async {
                for _ in 0..1_000 {
                    keyboard.write_all(format!("{line}\n").as_bytes()).await.unwrap();
                }
                keyboard.write_all(b"quit\n").await.unwrap();
            };
            let mut client = server.accept().await;
            join(typing, echo_all(&mut client)).await;
        })
        .await;
        result.unwrap();
        assert_eq!(
            texts(&output)
                .iter()
                .filter(|text| text.ends_with("xxxx"))
                .count(),
            1_000
        );
    }

    #[tokio::test]
    async fn what_a_server_sends_cannot_drive_the_terminal() {
        let server = Server::start().await;
        let (result, output) = play(server.options(), |_keyboard| async {
            let mut client = server.accept().await;
            client
                .send("a\n00:00:00.000  * connected\u{1b}[2J".into())
                .await
                .unwrap();
            close(client, 4000, "b\n").await;
        })
        .await;
        result.unwrap();
        let printed = texts(&output);
        assert_eq!(printed[1], "a\\n00:00:00.000  * connected\\u{1b}[2J");
        assert_eq!(printed[2], "* closed by the server: 4000 b\\n");
    }

    #[tokio::test]
    async fn a_line_that_is_not_utf_8_is_not_sent() {
        let server = Server::start().await;
        let (result, output) = play(server.options(), |mut keyboard| async move {
            let mut client = server.accept().await;
            keyboard.write_all(b"\xff\nquit\n").await.unwrap();
            assert_eq!(text_from(&mut client).await, "Hello, Server!");
            assert_eq!(close_code_from(&mut client).await, Some(1000));
        })
        .await;
        result.unwrap();
        assert_eq!(texts(&output)[1], "* not sent, because it is not UTF-8");
    }

    #[tokio::test]
    async fn a_url_that_cannot_work_is_refused_with_a_sentence_whatever_the_options() {
        for (url, cause) in [
            ("http://127.0.0.1:1/ws", "it must begin with ws:// or wss://"),
            ("127.0.0.1:1/ws", "it must begin with ws:// or wss://"),
            ("", "it must begin with ws:// or wss://"),
            ("ws://", "it does not parse: "),
            ("ws:///ws", "it does not parse: "),
            ("ws://127.0.0.1:99999/", "its port is not a number up to 65535"),
            ("ws://[::1]:/", "its port is not a number up to 65535"),
            ("ws://a b/", "it does not parse: "),
        ] {
            let running = run(Options::new(url), empty(), Vec::new());
            let error = timeout(PATIENCE, running).await.expect(url).unwrap_err();
            assert!(matches!(error, ConnectError::Url { .. }), "{url}: {error:?}");
            let sentence = error.to_string();
            assert!(
                sentence.starts_with(&format!("cannot use the URL {url:?}: ")),
                "{sentence}"
            );
            assert!(sentence.contains(cause), "{sentence}");
        }
    }

    #[tokio::test]
    async fn without_reconnect_a_refused_connection_is_an_error() {
        let (_socket, options) = refusing();
        let running = run(options.clone(), empty(), Vec::new());
        let error = timeout(PATIENCE, running).await.unwrap().unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.starts_with(&format!(
            "could not connect to {}: Connection refused",
            options.url
        )));
    }

    #[tokio::test]
    async fn without_reconnect_a_refused_handshake_is_an_error_with_the_servers_sentence() {
        let server = Server::start().await;
        let options = server.options();
        let refusing =
            server.answer_with("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nNothing here.\n");
        let both = join(run(options.clone(), empty(), Vec::new()), refusing);
        let (result, ()) = timeout(PATIENCE, both).await.unwrap();
        let expected = format!(
            "could not connect to {}: the server answered 404 Not Found: Nothing here.",
            options.url
        );
        assert_eq!(result.unwrap_err().to_string(), expected);
    }

    #[tokio::test]
    async fn between_two_attempts_the_switch_and_quit_are_obeyed_and_texts_refused() {
        let (_socket, options) = refusing();
        let options = Options {
            reconnect: true,
            ..options
        };
        // A wait may be as short as nothing, so the lines may meet the second or third one.
        let (result, output) = play(options, |mut keyboard| async move {
            keyboard.write_all(b"off\non\nhello\nquit\n").await.unwrap();
        })
        .await;
        result.unwrap();
        let printed: Vec<_> = texts(&output)
            .into_iter()
            .filter(|text| !text.contains("reconnecting in"))
            .collect();
        let expected = [
            "* off, once connected",
            "* on, once connected",
            "* not sent, because there is no connection",
        ];
        assert_eq!(printed, expected);
    }

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_from_half_a_second_to_thirty() {
        // 0.5 s, 1, 2, 4, 8, 16, then 32 is cut to 30.
        let ceilings = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000];
        let mut longest = [Duration::ZERO; 9];
        for seed in 0..1_000 {
            let mut backoff = Backoff::new(seed * 1_000_003);
            for (longest, ceiling) in longest.iter_mut().zip(ceilings) {
                let wait = backoff.next_wait();
                assert!(wait < Duration::from_millis(ceiling));
                *longest = wait.max(*longest);
            }
            backoff.reset();
            assert!(backoff.next_wait() < FIRST_WAIT);
        }
        for (longest, ceiling) in longest.iter().zip(ceilings) {
            assert!(
                *longest > Duration::from_millis(ceiling).mul_f64(0.95),
                "{longest:?} of {ceiling} ms"
            );
        }
    }

    #[test]
    fn waits_are_spread_evenly_and_never_overflow() {
        let total: Duration = (0..10_000).map(|seed| jitter(seed, Duration::from_secs(1))).sum();
        let mean = total / 10_000;
        assert!((0.48..0.52).contains(&mean.as_secs_f64()), "{mean:?}");
        let mut backoff = Backoff {
            seed: u64::MAX,
            attempts: u32::MAX - 1,
        };
        assert!(backoff.next_wait() < LONGEST_WAIT);
    }
}
