//! What a client's bytes go over: a TCP connection, bare or with TLS on it.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use rustls::ClientConnection;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::live::server::tls::Tls;

/// Plaintext that is encrypted at a time: a record of TLS (RFC 8446 section 5.1). What is encrypted can no longer be
/// told from what the socket has taken.
const RECORD: usize = 16 << 10;

/// A connection, in the manner of tokio's [`TcpStream`].
pub(crate) struct Transport {
    stream: TcpStream,
    /// In a box, so that a client of `ws://` is no larger for it.
    tls: Option<Box<TlsState>>,
}

impl Transport {
    /// Without TLS.
    pub(crate) fn bare(stream: TcpStream) -> Self {
        Self { stream, tls: None }
    }

    /// With TLS, once its handshake is done.
    ///
    /// # Errors
    ///
    /// A connection that ends, and a handshake that fails; [`crate::live::server::tls::explain`] has a sentence about that.
    pub(crate) async fn secure(stream: TcpStream, tls: &Tls) -> io::Result<Self> {
        let connection = ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(broken)?;
        let mut tls = Box::new(TlsState { connection, is_ending: false });
        tls.shake_hands(&stream).await?;
        Ok(Self { stream, tls: Some(tls) })
    }

    /// Waits until there may be something to read.
    ///
    /// Never for what is decrypted already: a socket counts as readable until an attempt to read from it would block, and
    /// none is made while there is plaintext.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Waits until the socket may take something.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Reads what there is; nothing at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if there is nothing yet; anything else ends the connection.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_read(buffer),
            Some(tls) => tls.try_read(&self.stream, buffer),
        }
    }

    /// Writes as much as goes, and what was left of the writes before; how much of `bytes` is taken.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if nothing was taken yet; anything else ends the connection.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_write(bytes),
            Some(tls) => tls.try_write(&self.stream, bytes),
        }
    }

    /// Whether something was taken that the socket has not; writing nothing goes on with it.
    pub(crate) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.connection.wants_write())
    }

    /// The next bytes; none at the end of the stream.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Writes everything.
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

    /// Ends this side of the stream, in the order that it has: with TLS a `close_notify` comes first.
    pub(crate) fn end(&mut self) {
        match &mut self.tls {
            None => shut_down(&self.stream),
            Some(tls) => tls.end(&self.stream),
        }
    }

    /// Is reset when it is dropped.
    pub(crate) fn cut(&self) {
        // A socket that cannot be told so is closed in the ordinary way.
        let _is_set = self.stream.set_zero_linger();
    }

    /// Whether the socket has failed, as far as one knows who does not read.
    pub(crate) fn has_failed(&self) -> bool {
        SockRef::from(&self.stream).take_error().is_ok_and(|error| error.is_some())
    }
}

fn shut_down(stream: &TcpStream) {
    // A server that is gone already has no side to end.
    let _is_ended = SockRef::from(stream).shutdown(Shutdown::Write);
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// TLS on a socket.
struct TlsState {
    connection: ClientConnection,
    /// The socket's side is to be ended behind what is still to be written.
    is_ending: bool,
}

impl TlsState {
    async fn shake_hands(&mut self, stream: &TcpStream) -> io::Result<()> {
        loop {
            match self.flush(stream) {
                Ok(()) if !self.connection.is_handshaking() => return Ok(()),
                Ok(()) => stream.readable().await?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
            match self.take_in(stream) {
                Ok(0) => {
                    let sentence = "the server ended the connection in the TLS handshake";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, sentence));
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    // The server is told why, if it still listens.
                    let _is_told = self.flush(stream);
                    return Err(error);
                }
                _ => {}
            }
        }
    }

    /// Reads from the socket once, and decrypts what is complete.
    fn take_in(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let length = self.connection.read_tls(&mut Socket(stream))?;
        self.connection.process_new_packets().map_err(broken)?;
        Ok(length)
    }

    fn try_read(&mut self, stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // An end without `close_notify`, which many servers leave out: what is missing shows in the frames.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.take_in(stream)?;
        }
    }

    fn try_write(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(stream)?;
        let length = self.connection.writer().write(&bytes[..bytes.len().min(RECORD)])?;
        if length == 0 && !bytes.is_empty() {
            // The key is used up, and TLS 1.2 has no way to a new one.
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
        // What does not go now goes when the socket is writable.
        let _is_sent = self.flush(stream);
    }
}

/// A socket as rustls has it.
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
