//! The original app's listing as printed, as a reader would type it in with tokio-tungstenite. It has these mistakes
//! of its own: each connection starts a timer that pushes to all clients, `unsubscribe` is only logged, a closed
//! client never leaves the map, and each send is awaited in the loop.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::{SinkExt, StreamExt, stream::SplitSink};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
    time::sleep,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::StatusCode,
    },
};

use super::clock::stamp;
use super::server::{Journal, Settings, WallClock};

/// Any stream.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type Sender = SplitSink<WebSocketStream<Box<dyn Stream>>, Message>;

/// An entry of the listing's map.
struct Client {
    active: AtomicBool,
    wants_push: AtomicBool,
    sender: Mutex<Sender>,
}

/// The listing's server.
pub(crate) struct Listing {
    settings: Settings,
    clock: WallClock,
    journal: Journal,
    connections: AtomicU64,
    clients: std::sync::Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Listing {
    /// The server. It uses only the period and the path of the settings.
    pub(crate) fn start(settings: Settings, clock: WallClock, journal: Journal) -> Arc<Self> {
        let clients = std::sync::Mutex::default();
        Arc::new(Self { settings, clock, journal, connections: AtomicU64::new(0), clients })
    }

    /// The number of clients in the map.
    pub(crate) fn census(&self) -> usize {
        self.clients.lock().expect("no task panics with the lock").len()
    }

    /// Serves one stream.
    pub(crate) async fn serve<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let path = self.settings.path.clone();
        #[expect(clippy::result_large_err, reason = "the library asks for this type")]
        let check = move |request: &Request, response: Response| {
            if request.uri().path() == path { Ok(response) } else { Err(not_found()) }
        };
        let stream: Box<dyn Stream> = Box::new(stream);
        let Ok(socket) = accept_hdr_async(stream, check).await else {
            return;
        };
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.log(format!("Client connected. Total connections: {number}"));
        let (sender, mut incoming) = socket.split();
        let client = Arc::new(Client {
            active: AtomicBool::new(true),
            wants_push: AtomicBool::new(true),
            sender: Mutex::new(sender),
        });
        self.clients.lock().expect("no task panics with the lock").insert(number, client.clone());

        let push_job = tokio::spawn(self.clone().push_to_all());
        while let Some(Ok(message)) = incoming.next().await {
            if let Message::Text(text) = message {
                self.on_text(&client, &text).await;
            }
        }
        client.active.store(false, Ordering::Relaxed);
        push_job.abort();
    }

    async fn on_text(&self, client: &Client, text: &str) {
        self.log(format!("Received message: {text}"));
        let now = stamp((self.clock)());
        match text {
            "unsubscribe" => self.log(format!("[{now}] unsubscribe: 关闭推送")),
            "subscribe" => {
                client.wants_push.store(true, Ordering::Relaxed);
                self.log(format!("[{now}] subscribe: 开启推送"));
            }
            _ => client.send(format!("Server received: {text}")).await,
        }
    }

    /// The timer that every connection starts for all clients.
    async fn push_to_all(self: Arc<Self>) {
        loop {
            sleep(self.settings.period).await;
            let clients: Vec<_> = {
                let clients = self.clients.lock().expect("no task panics with the lock");
                clients.values().cloned().collect()
            };
            for client in clients {
                if client.active.load(Ordering::Relaxed) && client.wants_push.load(Ordering::Relaxed) {
                    let now = stamp((self.clock)());
                    client.send(format!("Server push message at {now}")).await;
                }
            }
        }
    }

    fn log(&self, line: String) {
        (self.journal)(line);
    }
}

impl Client {
    /// Sends, and waits as long as the client needs. An error of a client that has left is ignored.
    async fn send(&self, text: String) {
        drop(self.sender.lock().await.send(Message::text(text)).await);
    }
}

fn not_found() -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
