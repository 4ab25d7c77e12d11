//! The minimum: one prepared frame, and a loop of `write`.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::support::{frames, server};

pub(crate) const ROLE: &str = "plain";

/// A push with its frame header. All pushes have the same length.
const FRAME: &[u8; server::PUSH] = b"\x81\x2aServer push message at 2026-11-22 12:00:00";

/// The answer to [`frames::REQUEST`].
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

type Sockets = Arc<Mutex<Vec<TcpStream>>>;

/// Runs the process of the plain server.
pub(crate) fn live() {
    let listener = server::listen();
    let address = listener.local_addr().expect("it is bound");
    let sockets = Sockets::default();
    let accepted = Arc::clone(&sockets);
    thread::spawn(move || accept(&listener, &accepted));
    server::obey(address, || {
        let mut sockets = sockets.lock().expect("no thread panicked");
        // A client that has left is forgotten.
        sockets.retain_mut(|socket| socket.write(FRAME).is_ok());
    });
}

fn accept(listener: &TcpListener, sockets: &Sockets) {
    for stream in listener.incoming() {
        let mut stream = stream.expect("no client leaves before");
        upgrade(&mut stream).expect("the client asks for an upgrade");
        sockets.lock().expect("no thread panicked").push(stream);
    }
}

fn upgrade(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; frames::REQUEST.len()];
    stream.read_exact(&mut request)?;
    stream.write_all(SWITCHING_PROTOCOLS)?;
    stream.set_nonblocking(true)
}
