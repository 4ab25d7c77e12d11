//! tokio-tungstenite with a bounded channel and a writer task per client, and a map of all channels.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::NaiveDateTime;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The most messages that wait for one client.
const CAPACITY: usize = 16;

/// The connected clients.
#[derive(Clone, Default)]
pub(crate) struct Clients {
    // Ordered, so that a run depends only on the seed.
    map: Arc<Mutex<BTreeMap<u64, Client>>>,
    next_id: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Client {
    sender: mpsc::Sender<Message>,
    is_subscribed: Arc<AtomicBool>,
}

impl Clients {
    pub(crate) async fn push(&self, now: NaiveDateTime) {
        let text = format!("Server push message at {}", now.format("%Y-%m-%d %H:%M:%S"));
        let message = Message::text(text);
        for client in self.map.lock().await.values() {
            if client.is_subscribed.load(Ordering::Relaxed) {
                // It fails if the client has just left.
                client.sender.send(message.clone()).await.ok();
            }
        }
    }

    #[allow(dead_code, reason = "the bench has no ticker: it triggers each push itself")]
    pub(crate) async fn tick(self, period: Duration, now: impl Fn() -> NaiveDateTime) {
        let mut interval = tokio::time::interval(period);
        // The first tick completes at once.
        interval.tick().await;
        loop {
            interval.tick().await;
            self.push(now()).await;
        }
    }

    pub(crate) async fn serve<S>(self, stream: S, config: WebSocketConfig)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(socket) = accept_async_with_config(stream, Some(config)).await else { return };
        let (mut sink, mut messages) = socket.split();
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        let client = Client { sender, is_subscribed: Arc::new(AtomicBool::new(true)) };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.map.lock().await.insert(id, client.clone());
        let writer = tokio::spawn(async move {
            while let Some(message) = receiver.recv().await {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        while let Some(Ok(message)) = messages.next().await {
            if client.answer(message).await.is_err() {
                break;
            }
        }
        self.map.lock().await.remove(&id);
        writer.abort();
    }
}

impl Client {
    async fn answer(&self, message: Message) -> Result<(), mpsc::error::SendError<Message>> {
        let Message::Text(text) = message else { return Ok(()) };
        match text.as_str() {
            "subscribe" => self.is_subscribed.store(true, Ordering::Relaxed),
            "unsubscribe" => self.is_subscribed.store(false, Ordering::Relaxed),
            _ => self.sender.send(Message::text(format!("Server received: {text}"))).await?,
        }
        Ok(())
    }
}
