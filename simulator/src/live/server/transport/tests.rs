use std::net::{TcpListener, TcpStream as Socket};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::time::timeout;

use super::*;
use crate::live::server::tls::Trust;

/// Much longer than any of these tests takes, so that a test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

type Accepted = StreamOwned<ServerConnection, Socket>;

/// A client, and a thread that serves it.
async fn connect<T: Send + 'static>(
    serve: impl FnOnce(Accepted) -> T + Send + 'static,
) -> (Transport, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let connection = ServerConnection::new(Arc::new(config())).unwrap();
        serve(StreamOwned::new(connection, listener.accept().unwrap().0))
    });
    let tls = Tls::to("127.0.0.1", &Trust::any_certificate()).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let opening = timeout(PATIENCE, Transport::with_tls(stream, &tls));
    (opening.await.expect("the handshake is to end").unwrap(), serving)
}

fn config() -> ServerConfig {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    builder.with_single_cert(vec![cert.der().clone()], key).unwrap()
}

async fn read(transport: &mut Transport, buffer: &mut [u8]) -> usize {
    timeout(PATIENCE, transport.read(buffer)).await.expect("what was sent is to be read").unwrap()
}

/// Everything that the client sends, and whether its end was clean.
fn read_to_end(stream: &mut Accepted) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let is_in_order = stream.read_to_end(&mut all).is_ok();
    (all, is_in_order)
}

#[tokio::test]
async fn decrypted_bytes_are_read_without_waiting() {
    let (release, released) = channel::<()>();
    let (mut transport, serving) = connect(move |mut stream| {
        // One record, and nothing more until all of it was read.
        stream.write_all(&[7; 10_000]).unwrap();
        released.recv().ok();
    })
    .await;
    let (mut buffer, mut length) = ([0; 100], 0);
    while length < 10_000 {
        length += read(&mut transport, &mut buffer).await;
        assert_eq!(buffer, [7; 100]);
    }
    drop(release);
    assert_eq!(read(&mut transport, &mut buffer).await, 0);
    serving.join().unwrap();
}

#[tokio::test]
async fn a_client_that_ended_its_side_still_reads() {
    let (mut transport, serving) = connect(|mut stream| {
        let heard = read_to_end(&mut stream);
        stream.write_all(b"bye").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        heard
    })
    .await;
    transport.write_all(b"hello").await.unwrap();
    transport.end();
    let mut buffer = [0; 100];
    assert_eq!(read(&mut transport, &mut buffer).await, 3);
    assert_eq!(&buffer[..3], b"bye");
    assert_eq!(read(&mut transport, &mut buffer).await, 0);
    assert_eq!(serving.join().unwrap(), (b"hello".to_vec(), true));
}

#[tokio::test]
async fn the_end_is_sent_after_all_pending_bytes() {
    let (release, released) = channel::<()>();
    let (mut transport, serving) = connect(move |mut stream| {
        stream.conn.complete_io(&mut stream.sock).unwrap();
        released.recv().ok();
        read_to_end(&mut stream)
    })
    .await;
    let mut taken = 0;
    let refusal = loop {
        match transport.try_write(&[7; 3 * RECORD]) {
            Ok(length) => taken += length,
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(refusal, ErrorKind::WouldBlock);
    assert!(transport.has_unsent());
    transport.end();
    drop(release);
    timeout(PATIENCE, transport.write_all(&[])).await.expect("the server reads on").unwrap();
    assert!(!transport.has_unsent());
    let (heard, is_in_order) = serving.join().unwrap();
    assert_eq!((heard.len(), is_in_order), (taken, true));
}

#[tokio::test]
async fn an_end_without_close_notify_is_an_end() {
    let (mut transport, serving) = connect(|mut stream| {
        stream.write_all(b"bye").unwrap();
        drop(stream);
    })
    .await;
    let mut buffer = [0; 100];
    assert_eq!(read(&mut transport, &mut buffer).await, 3);
    assert_eq!(read(&mut transport, &mut buffer).await, 0);
    serving.join().unwrap();
}

/// TLS must cost a plain connection only a pointer.
#[test]
fn a_bare_connection_is_a_stream_and_a_pointer() {
    assert_eq!(size_of::<Transport>(), size_of::<TcpStream>() + size_of::<usize>());
}
