//! A whole server over loopback, with real clients.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::protocol::PUSH_PREFIX;
use crate::shell::fanout::FanoutChoice;
use crate::shell::log::{Journal, LogFormat};
use crate::shell::options::Options;
use crate::shell::serve::{ServeError, Server};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server on a free port.
struct Running {
    url: String,
    log: UnboundedReceiver<String>,
    shut_down: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    fn start(options: Options) -> Self {
        let (output, log) = unbounded_channel();
        let journal = Journal::new(LogFormat::Text, options.time_zone.clone(), Lines(output)).unwrap();
        let options = Options { listen: ([127, 0, 0, 1], 0).into(), ..options };
        let server = Server::bind(&options, Arc::new(journal)).unwrap();
        let url = format!("ws://{}/ws", server.local_addr().unwrap());
        let (shut_down, told) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            told.await.ok();
        }));
        Self { url, log, shut_down, task }
    }

    async fn connect(&self) -> Client {
        connect_async(&self.url).await.unwrap().0
    }

    async fn logged(&mut self, beginning: &str) -> String {
        loop {
            let line = self.log.recv().await.expect("the log ends only with the server");
            if line.starts_with(beginning) {
                return line;
            }
        }
    }
}

/// An output that sends every line to a channel.
struct Lines(UnboundedSender<String>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.0.send(line.to_owned()).ok();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn next_text(client: &mut Client) -> String {
    match client.next().await.unwrap().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn echo(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
    assert_eq!(next_text(client).await, format!("Server received: {text}"));
}

#[tokio::test]
async fn clients_of_two_shards_get_echoes_and_the_same_push() {
    let mut server = Running::start(Options {
        period: Duration::from_millis(200),
        shards: NonZeroUsize::new(2),
        ..Options::default()
    });
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    server.logged("Client connected. Total connections: 2").await;
    let (one, two) = (next_text(&mut first).await, next_text(&mut second).await);
    assert!(one.starts_with(PUSH_PREFIX), "{one}");
    assert!(two.starts_with(PUSH_PREFIX), "{two}");
    first.send(Message::text("unsubscribe")).await.unwrap();
    server.logged("Received message: unsubscribe").await;
    drop(second);
    server.logged("Client disconnected. Total connections: 1").await;
}

#[tokio::test]
async fn a_drain_closes_with_1001_and_the_server_ends() {
    let mut server = Running::start(Options::default());
    let listening = format!("Listening on {}", server.url);
    assert_eq!(server.logged("Listening").await, listening);
    let mut client = server.connect().await;
    echo(&mut client, "Hello, Server!").await;
    server.shut_down.send(()).unwrap();
    let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else {
        panic!("expected a Close");
    };
    assert_eq!(u16::from(close.code), 1001);
    connect_async(&server.url).await.expect_err("the listener is closed");
    assert!(client.next().await.is_none());
    drop(client);
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_log_names_the_kind_of_fan_out_once() {
    let shards = NonZeroUsize::new(2);
    let mut server = Running::start(Options { fanout: FanoutChoice::Portable, shards, ..Options::default() });
    echo(&mut server.connect().await, "here").await;
    server.shut_down.send(()).unwrap();
    server.task.await.unwrap().unwrap();
    let mut lines = Vec::new();
    while let Some(line) = server.log.recv().await {
        lines.push(line);
    }
    lines.retain(|line| line.starts_with("Fan-out"));
    assert_eq!(lines, ["Fan-out by plain sends"]);
}

#[tokio::test]
async fn a_client_beyond_the_limit_gets_503_and_is_admitted_after_another_leaves() {
    let mut server = Running::start(Options { max_connections: Some(1), ..Options::default() });
    let mut client = server.connect().await;
    echo(&mut client, "in").await;
    let Err(Error::Http(response)) = connect_async(&server.url).await else {
        panic!("expected a refusal");
    };
    assert_eq!(response.status(), 503);
    client.close(None).await.unwrap();
    while client.next().await.is_some() {}
    drop(client);
    server.logged("Client disconnected").await;
    // The place becomes free just after that line, so one more refusal is possible.
    let mut client = loop {
        match connect_async(&server.url).await {
            Ok((client, _)) => break client,
            Err(Error::Http(_)) => {}
            Err(error) => panic!("{error}"),
        }
    };
    echo(&mut client, "back").await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed_with_1013() {
    let mut server = Running::start(Options {
        period: Duration::from_millis(20),
        max_message: 1000,
        outbox_limit: Some(2054),
        ..Options::default()
    });
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = server.url.strip_prefix("ws://").unwrap();
    let address = address.strip_suffix("/ws").unwrap().parse().unwrap();
    let stream = socket.connect(address).await.unwrap();
    let (client, _) = client_async(&server.url, stream).await.unwrap();
    let (mut sink, mut stream) = client.split();
    // Echoes fill the kernel's buffers and half of the outbox; only pushes can fill the rest.
    let flood =
        tokio::spawn(async move { while sink.send(Message::text("x".repeat(1000))).await.is_ok() {} });
    server.logged("Closing a connection: 1013").await;
    let close = loop {
        if let Message::Close(close) = stream.next().await.unwrap().unwrap() {
            break close.unwrap();
        }
    };
    assert_eq!(u16::from(close.code), 1013);
    flood.await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_and_contradicting_options_are_named() {
    let journal = Arc::new(Journal::new(LogFormat::Text, crate::Zone::UTC, io::sink()).unwrap());
    let options = Options { listen: ([127, 0, 0, 1], 0).into(), ..Options::default() };
    let first = Server::bind(&options, Arc::clone(&journal)).unwrap();
    let listen = first.local_addr().unwrap();
    let bind = |options: Options| Server::bind(&options, Arc::clone(&journal)).err().unwrap().to_string();
    let in_use = bind(Options { listen, ..Options::default() });
    assert_eq!(in_use, format!("cannot listen on {listen}: another process already uses it"));
    let contradiction = bind(Options { outbox_limit: Some(1), ..Options::default() });
    assert!(contradiction.starts_with("outbox-limit is 1 bytes"), "{contradiction}");
}
