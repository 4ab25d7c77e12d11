//! A push server on tungstenite: one thread for each connection, which reads and writes by turns.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use foreign_servers::{LARGEST, Options, PUSHES_WAITING, Request, Room, run_schedule, understand};
use signal_hook::consts::SIGTERM;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::server::{ErrorResponse, Request as Asked, Response};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket, accept_hdr_with_config};

/// How long a thread waits for input before it looks for pushes.
const GLANCE: Duration = Duration::from_millis(20);

/// How long one write may take. A client that takes nothing for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(3);

enum Order {
    Push(String),
    Close(u16),
}

struct Outlet {
    orders: SyncSender<Order>,
    socket: TcpStream,
}

fn serve(room: &Room<Outlet>, socket: TcpStream) {
    let (Ok(second), Ok(())) = (socket.try_clone(), socket.set_nodelay(true)) else { return };
    let check = |request: &Asked, response: Response| {
        let refuse = || {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = tungstenite::http::StatusCode::NOT_FOUND;
            refusal
        };
        if request.uri().path() == "/ws" { Ok(response) } else { Err(refuse()) }
    };
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let _ = socket.set_read_timeout(Some(Duration::from_secs(10)));
    let _ = socket.set_write_timeout(Some(PATIENCE));
    let Ok(mut websocket) = accept_hdr_with_config(socket, check, Some(config)) else { return };
    let _ = websocket.get_ref().set_read_timeout(Some(GLANCE));
    let (orders, waiting) = sync_channel(PUSHES_WAITING);
    let member = room.join(Outlet { orders, socket: second });
    let end = talk(room, &member.is_subscribed, &mut websocket, &waiting);
    room.leave(member.number);
    if let Err(error) = end {
        say_goodbye(room, &mut websocket, &error);
    }
}

/// Whether a read ended only because nothing came, or because the process was stopped and went on.
fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn talk(
    room: &Room<Outlet>,
    is_subscribed: &AtomicBool,
    websocket: &mut WebSocket<TcpStream>,
    waiting: &Receiver<Order>,
) -> Result<(), Error> {
    loop {
        match websocket.read() {
            Ok(Message::Text(text)) => match understand(&room.options, &text) {
                Request::Subscribe(is_on) => is_subscribed.store(is_on, Ordering::SeqCst),
                Request::Echo(reply) => websocket.send(Message::Text(reply.into()))?,
            },
            Err(Error::Io(error)) if is_pause(&error) => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        while let Ok(order) = waiting.try_recv() {
            match order {
                Order::Push(text) if is_subscribed.load(Ordering::SeqCst) => {
                    websocket.send(Message::Text(text.into()))?;
                }
                Order::Push(_) => {}
                Order::Close(code) => {
                    websocket.close(Some(CloseFrame { code: code.into(), reason: "".into() }))?
                }
            }
        }
    }
}

/// The library leaves it to the app to answer an offence. The stream is read on for a while: otherwise a reset would
/// destroy the Close.
fn say_goodbye(room: &Room<Outlet>, websocket: &mut WebSocket<TcpStream>, error: &Error) {
    let code = match error {
        Error::Utf8(_) => 1007,
        Error::Capacity(_) => 1009,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return,
        Error::Protocol(_) => 1002,
        _ => return,
    };
    if room.options.has("panics-on-offence") {
        eprintln!(
            "thread 'main' panicked at src/serve.rs:61: called `Result::unwrap()` on an `Err` value: {error:?}"
        );
        std::process::exit(101);
    }
    let _ = websocket.close(Some(CloseFrame { code: code.into(), reason: "".into() }));
    let _ = websocket.flush();
    let socket = websocket.get_mut();
    let _ = socket.shutdown(Shutdown::Write);
    let (until, mut buffer) = (Instant::now() + Duration::from_secs(1), [0; 4096]);
    while Instant::now() < until && !matches!(std::io::Read::read(socket, &mut buffer), Ok(0)) {}
}

fn walk(room: &Room<Outlet>, text: &str) {
    for member in room.subscribers() {
        let is_full = member.outlet.orders.try_send(Order::Push(text.to_owned())).is_err();
        if is_full && !room.options.has("drops-when-full") {
            let _ = member.outlet.socket.shutdown(Shutdown::Both);
        }
    }
}

fn main() {
    let room = Arc::new(Room::new(Options::read()));
    let is_told = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&is_told)).expect("a signal handler");
    let listener = TcpListener::bind(("127.0.0.1", room.options.port)).expect("a free port");
    let (own, closing) = (Arc::clone(&room), Arc::clone(&is_told));
    thread::spawn(move || {
        run_schedule(&own.options, |text| {
            if !closing.load(Ordering::SeqCst) {
                walk(&own, &text);
            }
        });
    });
    let own = Arc::clone(&room);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let room = Arc::clone(&own);
            thread::spawn(move || serve(&room, socket));
        }
    });
    while !is_told.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(10));
    }
    for member in room.members() {
        let _ = member.outlet.orders.try_send(Order::Close(room.options.end_code()));
    }
    for _ in 0..120 {
        if room.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
