//! The transport of a client's bytes: a TCP connection, with or without TLS.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use rustls::ClientConnection;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::live::server::tls::Tls;

/// The most plaintext that is encrypted at a time, in bytes: a TLS record (RFC 8446 section 5.1). For encrypted
/// bytes it is unknown which of them the socket has accepted.
const RECORD: usize = 16 << 10;

/// A connection with an interface like tokio's [`TcpStream`].
pub(crate) struct Transport {
    stream: TcpStream,
    /// Boxed, so that a client of `ws://` stays small.
    tls: Option<Box<TlsState>>,
}

impl Transport {
    /// A connection without TLS.
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self { stream, tls: None }
    }

    /// A connection with TLS. Returns when the handshake is done.
    ///
    /// # Errors
    ///
    /// The connection ends, or the handshake fails; [`crate::live::server::tls::explain`] has a sentence about
    /// that.
    pub(crate) async fn with_tls(stream: TcpStream, tls: &Tls) -> io::Result<Self> {
        let connection = ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(broken)?;
        let mut tls = Box::new(TlsState { connection, is_ending: false });
        tls.complete_handshake(&stream).await?;
        Ok(Self { stream, tls: Some(tls) })
    }

    /// Waits until there may be something to read.
    ///
    /// It does not report plaintext that is already decrypted. That is no problem: the socket counts as readable
    /// until a read from it would block, and there is no such read while there is plaintext.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Waits until the socket may accept bytes.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Reads what has arrived; returns 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if there is nothing yet; any other error ends the connection.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_read(buffer),
            Some(tls) => tls.try_read(&self.stream, buffer),
        }
    }

    /// Writes what is left of earlier writes, then as much of `bytes` as possible. Returns how many of `bytes` were
    /// accepted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if nothing was accepted yet; any other error ends the connection.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_write(bytes),
            Some(tls) => tls.try_write(&self.stream, bytes),
        }
    }

    /// Whether accepted bytes have not reached the socket yet. An empty write continues with them.
    pub(crate) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.connection.wants_write())
    }

    /// Waits for the next bytes; returns 0 at the end of the stream.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Writes all bytes, and waits until the socket has accepted them.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() || self.has_unsent() {
            match self.try_write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends this side of the stream; with TLS after a `close_notify`.
    pub(crate) fn end(&mut self) {
        match &mut self.tls {
            None => shut_down(&self.stream),
            Some(tls) => tls.end(&self.stream),
        }
    }

    /// Makes the connection end with a reset when it is dropped.
    pub(crate) fn reset_on_drop(&self) {
        // If the option cannot be set, the socket is closed in the ordinary way.
        let _is_set = self.stream.set_zero_linger();
    }

    /// Whether the socket has failed, as far as it is known without reading.
    pub(crate) fn has_failed(&self) -> bool {
        SockRef::from(&self.stream).take_error().is_ok_and(|error| error.is_some())
    }
}

fn shut_down(stream: &TcpStream) {
    // If the server is gone, there is no stream to end.
    let _is_ended = SockRef::from(stream).shutdown(Shutdown::Write);
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// TLS on a socket.
struct TlsState {
    connection: ClientConnection,
    /// Whether the socket is to be shut down after the remaining bytes are written.
    is_ending: bool,
}

impl TlsState {
    async fn complete_handshake(&mut self, stream: &TcpStream) -> io::Result<()> {
        loop {
            match self.flush(stream) {
                Ok(()) if !self.connection.is_handshaking() => return Ok(()),
                Ok(()) => stream.readable().await?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
            match self.read_records(stream) {
                Ok(0) => {
                    let sentence = "the server ended the connection in the TLS handshake";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, sentence));
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    // Tells the server the reason, if it still listens.
                    let _is_told = self.flush(stream);
                    return Err(error);
                }
                _ => {}
            }
        }
    }

    /// Reads from the socket once, and decrypts what is complete.
    fn read_records(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let length = self.connection.read_tls(&mut Socket(stream))?;
        self.connection.process_new_packets().map_err(broken)?;
        Ok(length)
    }

    fn try_read(&mut self, stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // An end without `close_notify`, which many servers leave out. Missing bytes show in the frames.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.read_records(stream)?;
        }
    }

    fn try_write(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(stream)?;
        let length = self.connection.writer().write(&bytes[..bytes.len().min(RECORD)])?;
        if length == 0 && !bytes.is_empty() {
            // The limit of the key is reached, and TLS 1.2 cannot change keys.
            return Err(ErrorKind::WriteZero.into());
        }
        match self.flush(stream) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(length),
        }
    }

    fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Socket(stream))?;
        }
        if std::mem::take(&mut self.is_ending) {
            shut_down(stream);
        }
        Ok(())
    }

    fn end(&mut self, stream: &TcpStream) {
        self.connection.send_close_notify();
        self.is_ending = true;
        // The rest is sent when the socket is writable.
        let _is_sent = self.flush(stream);
    }
}

/// The socket in the form that rustls needs.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
