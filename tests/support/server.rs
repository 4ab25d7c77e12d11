//! The reference server as a whole, on a free port of the loopback interface.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use carillon_server::Zone;
use carillon_server::shell::{Journal, LogFormat, Options, ServeError, Server};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::soon;

/// A stream for a client.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

const PUSH_PREFIX: &str = "Server push message at ";

/// A client of tokio-tungstenite.
pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A running server and its log.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shut_down: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<Result<(), ServeError>>,
    log: UnboundedReceiver<String>,
}

impl Running {
    pub(crate) fn start(options: Options) -> Self {
        let (output, log) = unbounded_channel();
        let journal = Journal::new(LogFormat::Text, Zone::UTC, Lines(output));
        let journal = Arc::new(journal.expect("the system has room for a thread"));
        let options = Options { listen: ([127, 0, 0, 1], 0).into(), time_zone: Zone::UTC, ..options };
        let server =
            Server::bind(&options, journal).expect("there is a free port, and the options are sound");
        let address = server.local_addr().expect("a socket that listens has an address");
        let (shut_down, told) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            told.await.ok();
        }));
        Self { address, shut_down, task, log }
    }

    pub(crate) async fn try_connect(&self) -> Result<Client, Error> {
        soon(connect_async(format!("ws://{}/ws", self.address))).await.map(|(client, _)| client)
    }

    /// A connected client whose subscription has taken effect. Pushes before that are dropped.
    pub(crate) async fn connect(&self) -> Client {
        let mut client = self.try_connect().await.expect("the server has room");
        fence(&mut client, "Hello, Server!").await;
        client
    }

    /// The next line of the log that begins with this prefix.
    pub(crate) async fn logged(&mut self, beginning: &str) -> String {
        loop {
            let line = soon(self.log.recv()).await.expect("the log ends only with the server");
            if line.starts_with(beginning) {
                return line;
            }
        }
    }
}

/// The next text of the server.
pub(crate) async fn next_text<S: Stream>(client: &mut WebSocketStream<S>) -> String {
    loop {
        match soon(client.next()).await.expect("the server has not ended the connection") {
            Ok(Message::Text(text)) => return text.to_string(),
            Ok(Message::Ping(_)) => {}
            other => panic!("not a text: {other:?}"),
        }
    }
}

pub(crate) async fn say<S: Stream>(client: &mut WebSocketStream<S>, text: &str) {
    soon(client.send(Message::text(text))).await.expect("the server takes what it is sent");
}

/// Sends a fence, waits for its echo, and returns the texts that came before: all earlier messages have taken effect.
pub(crate) async fn fence<S: Stream>(client: &mut WebSocketStream<S>, text: &str) -> Vec<String> {
    say(client, text).await;
    let (echo, mut before) = (format!("Server received: {text}"), Vec::new());
    loop {
        match next_text(client).await {
            text if text == echo => return before,
            text => before.push(text),
        }
    }
}

/// The next pushes of a client that says nothing.
pub(crate) async fn pushes<S: Stream>(client: &mut WebSocketStream<S>, count: usize) -> Vec<String> {
    let mut pushes = Vec::new();
    while pushes.len() < count {
        pushes.push(next_text(client).await);
    }
    assert!(pushes.iter().all(|text| text.starts_with(PUSH_PREFIX)), "{pushes:?}");
    pushes
}

/// An output that sends every line to a channel.
struct Lines(UnboundedSender<String>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            // Not every test reads the log.
            self.0.send(line.to_owned()).ok();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
