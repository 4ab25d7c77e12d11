//! A push server on actix-web and actix-ws.

use std::io::ErrorKind;
use std::sync::{Arc, Weak};
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError, Session};
use foreign_servers::queue::{self, Inlet, Order, Outlet};
use foreign_servers::{LARGEST, Member, Options, Room};

async fn upgrade(
    room: Data<Room<Outlet>>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Error> {
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let stream = stream.max_frame_size(LARGEST).aggregate_continuations().max_continuation_size(LARGEST);
    actix_web::rt::spawn(serve(room.into_inner(), session, stream));
    Ok(response)
}

async fn serve(room: Arc<Room<Outlet>>, session: Session, stream: AggregatedMessageStream) {
    let (client, inlet) = queue::join(&room);
    let (cut, number) = (inlet.cut.clone(), client.number);
    let writing = actix_web::rt::spawn(write(session.clone(), inlet, Arc::downgrade(&client)));
    let end = tokio::select! {
        end = read(&room, &client, session.clone(), stream) => end,
        () = Inlet::until_cut(cut) => None,
    };
    room.leave(number);
    drop(client);
    let _ = tokio::time::timeout(Duration::from_secs(1), writing).await;
    let _ = session.close(end).await;
}

/// Reads until the client has gone, and returns the reason to close for.
async fn read(
    room: &Room<Outlet>,
    client: &queue::Client,
    mut session: Session,
    mut stream: AggregatedMessageStream,
) -> Option<CloseReason> {
    while let Some(message) = stream.recv().await {
        match message {
            Ok(AggregatedMessage::Text(text)) => {
                if !queue::on_text(room, client, &text).await {
                    return None;
                }
            }
            Ok(AggregatedMessage::Ping(payload)) => {
                let _ = session.pong(&payload).await;
            }
            Ok(AggregatedMessage::Close(reason)) => return reason,
            Ok(_) => {}
            Err(error) => return Some(reason_of(&error)),
        }
    }
    None
}

/// The library leaves it to the app to answer an offence.
fn reason_of(error: &ProtocolError) -> CloseReason {
    match error {
        ProtocolError::Overflow => CloseCode::Size.into(),
        // Fragments that are too long together.
        ProtocolError::Io(error) if error.kind() == ErrorKind::Other => CloseCode::Size.into(),
        // Reserved bits come as the same kind of error as a text that is not UTF-8.
        ProtocolError::Io(error)
            if error.kind() == ErrorKind::InvalidData && !error.to_string().contains("reserved") =>
        {
            CloseCode::Invalid.into()
        }
        _ => CloseCode::Protocol.into(),
    }
}

async fn write(mut session: Session, mut inlet: Inlet, client: Weak<Member<Outlet>>) {
    let cut = inlet.cut.clone();
    let sending = async {
        while let Some(order) = inlet.next().await {
            let is_sent = match order {
                // The walk may have read the switch before an unsubscribe that has been served meanwhile.
                Order::Push(_) if client.upgrade().is_some_and(|client| !client.is_subscribed.load(Ordering::SeqCst)) => true,
                Order::Echo(text) | Order::Push(text) => session.text(text).await.is_ok(),
                Order::Close(code) => {
                    let _ = session.close(Some(CloseReason { code: code.into(), description: None })).await;
                    return;
                }
            };
            if !is_sent {
                return;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = Inlet::until_cut(cut) => {}
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let options = Options::read();
    let port = options.port;
    let room = queue::start(options);
    let data = Data::from(Arc::clone(&room));
    let app = move || App::new().app_data(data.clone()).route("/ws", web::get().to(upgrade));
    let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", port))?.run();
    tokio::select! {
        _ = server => {}
        () = queue::until_drained(&room) => {}
    }
    Ok(())
}
