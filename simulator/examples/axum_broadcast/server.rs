//! axum's WebSocket and a broadcast channel: one task ticks, and each connection waits for the channel and for its
//! socket.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use chrono::NaiveDateTime;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

/// How many pushes the channel keeps for connections that lag.
pub(crate) const CAPACITY: usize = 16;

#[derive(Clone)]
struct AppState {
    pushes: Sender<Utf8Bytes>,
    max_message: usize,
}

pub(crate) fn app(pushes: Sender<Utf8Bytes>, max_message: usize) -> Router {
    Router::new().route("/ws", get(upgrade)).with_state(AppState { pushes, max_message })
}

pub(crate) fn push(pushes: &Sender<Utf8Bytes>, now: NaiveDateTime) {
    let text = format!("Server push message at {}", now.format("%Y-%m-%d %H:%M:%S"));
    // It fails if no client is connected.
    pushes.send(text.into()).ok();
}

#[allow(dead_code, reason = "the bench has no ticker: it triggers each push itself")]
pub(crate) async fn tick(pushes: Sender<Utf8Bytes>, period: Duration, now: impl Fn() -> NaiveDateTime) {
    let mut interval = tokio::time::interval(period);
    // The first tick completes at once.
    interval.tick().await;
    loop {
        interval.tick().await;
        push(&pushes, now());
    }
}

async fn upgrade(upgrade: WebSocketUpgrade, State(state): State<AppState>) -> Response {
    let upgrade = upgrade.max_message_size(state.max_message);
    upgrade.on_upgrade(move |socket| serve(socket, state.pushes.subscribe()))
}

async fn serve(mut socket: WebSocket, mut pushes: Receiver<Utf8Bytes>) {
    let mut is_subscribed = true;
    loop {
        tokio::select! {
            // `biased` makes the order of the branches, and so the run, depend only on the seed.
            biased;
            push = pushes.recv() => match push {
                Ok(text) if is_subscribed => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => match text.as_str() {
                    "subscribe" => is_subscribed = true,
                    "unsubscribe" => is_subscribed = false,
                    _ => {
                        let reply = format!("Server received: {text}");
                        if socket.send(Message::Text(reply.into())).await.is_err() {
                            return;
                        }
                    }
                },
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        }
    }
}
