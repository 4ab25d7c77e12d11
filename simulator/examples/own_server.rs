//! Puts a server on trial: here an echo that knows nothing of pushes.

use std::process::ExitCode;

use carillon_simulator::paused::Stream;
use carillon_simulator::trial;
use futures::{SinkExt, StreamExt};

async fn serve(stream: Stream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Ok(text) = message.to_text() else { return };
        let reply = format!("Server received: {text}");
        if message.is_text() && socket.send(reply.into()).await.is_err() {
            return;
        }
    }
}

fn main() -> ExitCode {
    let command = "cargo run --release -p carillon-simulator --example own_server --";
    trial::main(command, |_scenario, _clock| serve)
}
