//! A push server on axum, whose WebSockets are those of tungstenite.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use foreign_servers::queue::{self, Client, Inlet, Order, Outlet};
use foreign_servers::{LARGEST, Options, Room};

async fn upgrade(State(room): State<Arc<Room<Outlet>>>, request: WebSocketUpgrade) -> Response {
    request.max_message_size(LARGEST).max_frame_size(LARGEST).on_upgrade(move |socket| serve(room, socket))
}

/// One task reads and writes: the echo of a text has been sent before the next frame is read, and be it a Close.
async fn serve(room: Arc<Room<Outlet>>, mut socket: WebSocket) {
    let (client, mut inlet) = queue::join(&room);
    let cut = inlet.cut.clone();
    tokio::select! {
        _ = talk(&room, &client, &mut inlet, &mut socket) => {}
        () = Inlet::until_cut(cut) => {}
    }
    room.leave(client.number);
}

async fn talk(
    room: &Room<Outlet>,
    client: &Client,
    inlet: &mut Inlet,
    socket: &mut WebSocket,
) -> Result<(), axum::Error> {
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                None => return Ok(()),
                Some(message) => {
                    if let Message::Text(text) = message?
                        && let Some(reply) = queue::answer(room, client, &text)
                    {
                        socket.send(Message::Text(reply.into())).await?;
                    }
                }
            },
            Some(order) = inlet.next() => socket.send(match order {
                // The walk may have read the switch before an unsubscribe that has been served meanwhile.
                Order::Push(_) if !client.is_subscribed.load(Ordering::SeqCst) => continue,
                Order::Echo(text) | Order::Push(text) => Message::Text(text.into()),
                Order::Close(code) => Message::Close(Some(CloseFrame { code, reason: "".into() })),
            }).await?,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::read();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port)).await.expect("a free port");
    let room = queue::start(options);
    let app = Router::new().route("/ws", get(upgrade)).with_state(Arc::clone(&room));
    tokio::select! {
        _ = axum::serve(listener, app) => {}
        () = queue::until_drained(&room) => {}
    }
}
