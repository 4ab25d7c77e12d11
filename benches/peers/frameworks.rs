//! Servers that users would write instead: those of the simulator's examples.

use std::future::Future;
use std::net::SocketAddr;

use chrono::{NaiveDateTime, Utc};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::support::server;

#[path = "../../simulator/examples/axum_broadcast/server.rs"]
mod axum_broadcast;
#[path = "../../simulator/examples/mpsc_per_client/server.rs"]
mod mpsc_per_client;

pub(crate) const BROADCAST: &str = "broadcast";
pub(crate) const CHANNELS: &str = "channels";
pub(crate) const CHANNELS_TUNED: &str = "channels-tuned";

const MAX_MESSAGE: usize = 64 << 10;

/// Runs the process of one server, in the runtime that `#[tokio::main]` creates on one core.
pub(crate) fn live(role: &str) {
    let runtime = Runtime::new().expect("the system has room for a runtime");
    let defaults = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE));
    match role {
        BROADCAST => live_broadcast(&runtime),
        CHANNELS => live_channels(&runtime, defaults),
        CHANNELS_TUNED => live_channels(&runtime, defaults.read_buffer_size(256)),
        other => panic!("{other:?}"),
    }
}

fn live_broadcast(runtime: &Runtime) {
    let (pushes, _) = broadcast::channel(axum_broadcast::CAPACITY);
    let app = axum_broadcast::app(pushes.clone(), MAX_MESSAGE);
    let address = listen_on(runtime, |listener| async {
        axum::serve(listener, app).await.expect("axum serves until the process ends");
    });
    server::obey(address, || {
        let pushes = pushes.clone();
        on_a_task(runtime, async move { axum_broadcast::push(&pushes, now()) });
    });
}

fn live_channels(runtime: &Runtime, config: WebSocketConfig) {
    let clients = mpsc_per_client::Clients::default();
    let accepting = clients.clone();
    let address = listen_on(runtime, move |listener| async move {
        loop {
            let (stream, _) = listener.accept().await.expect("no client leaves before");
            tokio::spawn(accepting.clone().serve(stream, config));
        }
    });
    server::obey(address, || {
        let clients = clients.clone();
        on_a_task(runtime, async move { clients.push(now()).await });
    });
}

/// Spawns the task that serves the connections of a new listener.
fn listen_on<Serve>(runtime: &Runtime, serve: impl FnOnce(TcpListener) -> Serve) -> SocketAddr
where
    Serve: Future<Output = ()> + Send + 'static,
{
    let _guard = runtime.enter();
    let listener = server::listen_in_runtime();
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(serve(listener));
    address
}

/// Pushes once, in the place of a ticker.
fn on_a_task(runtime: &Runtime, push: impl Future<Output = ()> + Send + 'static) {
    runtime.block_on(runtime.spawn(push)).expect("the push does not panic");
}

fn now() -> NaiveDateTime {
    Utc::now().naive_utc()
}
