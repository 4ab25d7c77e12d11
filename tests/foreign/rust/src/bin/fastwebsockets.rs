//! A push server on fastwebsockets and hyper.
//!
//! The library takes frames that are not masked, joins fragments without a limit, and answers the answer to a Close.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError, WebSocketWrite, upgrade,
};
use foreign_servers::queue::{self, Inlet, Order, Outlet};
use foreign_servers::{LARGEST, Options, Room};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split};
use tokio::sync::Mutex;

type Stream = TokioIo<hyper::upgrade::Upgraded>;
type Writer = Arc<Mutex<WebSocketWrite<WriteHalf<Stream>>>>;

async fn answer(
    room: Arc<Room<Outlet>>,
    mut request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut refusal = Response::new(Empty::new());
    *refusal.status_mut() = StatusCode::NOT_FOUND;
    if request.uri().path() != "/ws" {
        return Ok(refusal);
    }
    // The library does not look at the field Upgrade before it answers.
    let Ok((response, socket)) = upgrade::upgrade(&mut request) else {
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    };
    tokio::spawn(async move {
        if let Ok(mut socket) = socket.await {
            socket.set_max_message_size(LARGEST + 1);
            socket.set_auto_apply_mask(true);
            let (reader, writer) = socket.split(split);
            serve(room, FragmentCollectorRead::new(reader), Arc::new(Mutex::new(writer))).await;
        }
    });
    Ok(response)
}

async fn serve(room: Arc<Room<Outlet>>, reader: FragmentCollectorRead<ReadHalf<Stream>>, writer: Writer) {
    let (client, inlet) = queue::join(&room);
    let (cut, number) = (inlet.cut.clone(), client.number);
    let writing = tokio::spawn(write(Arc::clone(&writer), inlet));
    tokio::select! {
        () = read(&room, &client, reader, &writer) => {}
        () = Inlet::until_cut(cut) => {}
    }
    room.leave(number);
    drop(client);
    let _ = tokio::time::timeout(Duration::from_secs(1), writing).await;
}

async fn read<S: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    room: &Room<Outlet>,
    client: &queue::Client,
    mut reader: FragmentCollectorRead<S>,
    writer: &Mutex<WebSocketWrite<W>>,
) {
    let send = |frame: Frame<'static>| async move { writer.lock().await.write_frame(frame).await };
    loop {
        match reader.read_frame::<_, WebSocketError>(&mut |frame| send(own(frame))).await {
            Ok(frame) if frame.opcode == OpCode::Text => {
                let Ok(text) = std::str::from_utf8(&frame.payload) else { return };
                if !queue::on_text(room, client, text).await {
                    return;
                }
            }
            Ok(frame) if frame.opcode == OpCode::Close => return,
            Ok(_) => {}
            Err(error) => {
                let _ = writer.lock().await.write_frame(Frame::close(code_of(&error), b"")).await;
                return;
            }
        }
    }
}

fn own(frame: Frame<'_>) -> Frame<'static> {
    Frame::new(frame.fin, frame.opcode, None, Payload::Owned(frame.payload.to_vec()))
}

/// The library leaves it to the app to answer an offence.
fn code_of(error: &WebSocketError) -> u16 {
    match error {
        WebSocketError::InvalidUTF8 => 1007,
        WebSocketError::FrameTooLarge => 1009,
        _ => 1002,
    }
}

async fn write(writer: Writer, mut inlet: Inlet) {
    let cut = inlet.cut.clone();
    let sending = async {
        while let Some(order) = inlet.next().await {
            let frame = match order {
                Order::Echo(text) | Order::Push(text) => Frame::text(Payload::Owned(text.into_bytes())),
                Order::Close(code) => Frame::close(code, b""),
            };
            if writer.lock().await.write_frame(frame).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = Inlet::until_cut(cut) => {}
    }
}

async fn listen(room: Arc<Room<Outlet>>) {
    let listener =
        tokio::net::TcpListener::bind(("127.0.0.1", room.options.port)).await.expect("a free port");
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let room = Arc::clone(&room);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&room), request));
            let serving =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = serving.with_upgrades().await;
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let room = queue::start(Options::read());
    tokio::select! {
        () = listen(Arc::clone(&room)) => {}
        () = queue::until_drained(&room) => {}
    }
}
