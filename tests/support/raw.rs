//! A client that sends any bytes, and understands the frames that a server may send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use super::frames::{Heard, REQUEST, listen};
use super::soon;

/// Both halves of a socket.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) input: Input,
    pub(crate) output: OwnedWriteHalf,
}

/// The half that reads.
#[derive(Debug)]
pub(crate) struct Input {
    /// The number of pings from the server.
    pub(crate) pings: usize,
    reader: OwnedReadHalf,
    /// Bytes that were read and not understood yet.
    bytes: Vec<u8>,
    is_open: bool,
}

impl Raw {
    /// Connects and says nothing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.expect("the server listens"))
    }

    /// Connects and completes the handshake.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::connect(address).await.shake_hands().await
    }

    /// The same, over a socket with a small receive buffer.
    pub(crate) async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("the system has room for a socket");
        socket.set_recv_buffer_size(4096).expect("the size is legal");
        let stream = socket.connect(address).await.expect("the server listens");
        Self::new(stream).shake_hands().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon(self.output.write_all(bytes)).await.expect("the server takes what it is sent");
    }

    /// The next frame or response of the server; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        self.input.next().await
    }

    /// Ends the sending side in good order.
    pub(crate) async fn hang_up(&mut self) {
        // It fails if the server ended the connection first.
        self.output.shutdown().await.ok();
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.output.as_ref().set_zero_linger().expect("loopback sockets take options");
        // Not a drop of the halves, which would first end the stream in good order.
        self.output.forget();
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("loopback sockets take options");
        let (reader, output) = stream.into_split();
        let bytes = Vec::with_capacity(64 << 10);
        Self { input: Input { pings: 0, reader, bytes, is_open: false }, output }
    }

    async fn shake_hands(mut self) -> Self {
        self.send(REQUEST).await;
        assert_eq!(self.next().await, Some(Heard::Response(101)));
        self
    }
}

impl Input {
    /// The next frame or response of the server; `None` at the end of the stream. Pings are counted and skipped.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            let heard = listen(&self.bytes, self.is_open).expect("the server keeps to the RFC");
            if let Some((heard, length)) = heard {
                self.bytes.drain(..length);
                self.is_open |= heard == Heard::Response(101);
                if heard != Heard::Ping {
                    return Some(heard);
                }
                self.pings += 1;
            } else if soon(self.reader.read_buf(&mut self.bytes)).await.unwrap_or(0) == 0 {
                assert_eq!(self.bytes, b"", "the stream ends within a frame");
                return None;
            }
        }
    }
}
