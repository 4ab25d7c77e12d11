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

/// Far beyond what any of these takes; a test that hangs is to fail and not to hang.
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
    let tls = Tls::to("127.0.0.1", &Trust::anybody()).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let opening = timeout(PATIENCE, Transport::secure(stream, &tls));
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

/// Everything that the client sends, and whether its end was in order.
fn read_to_end(stream: &mut Accepted) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let is_in_order = stream.read_to_end(&mut all).is_ok();
    (all, is_in_order)
}

#[tokio::test]
async fn what_is_decrypted_already_is_not_waited_for() {
    let (tell, told) = channel::<()>();
    let (mut transport, serving) = connect(move |mut stream| {
        // One record, and nothing behind it until all of it was read.
        stream.write_all(&[7; 10_000]).unwrap();
        told.recv().ok();
    })
    .await;
    let (mut buffer, mut length) = ([0; 100], 0);
    while length < 10_000 {
        length += read(&mut transport, &mut buffer).await;
        assert_eq!(buffer, [7; 100]);
    }
    drop(tell);
    assert_eq!(read(&mut transport, &mut buffer).await, 0);
    serving.join().unwrap();
}

#[tokio::test]
async fn a_side_that_was_ended_still_hears_the_other() {
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
async fn the_end_waits_for_what_the_socket_has_not_taken() {
    let (tell, told) = channel::<()>();
    let (mut transport, serving) = connect(move |mut stream| {
        stream.conn.complete_io(&mut stream.sock).unwrap();
        told.recv().ok();
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
    drop(tell);
    timeout(PATIENCE, transport.write_all(&[])).await.expect("the server reads on").unwrap();
    assert!(!transport.has_unsent());
    let (heard, is_in_order) = serving.join().unwrap();
    assert_eq!((heard.len(), is_in_order), (taken, true));
}

#[tokio::test]
async fn an_end_without_a_notice_is_an_end() {
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

/// What costs nothing where there is no TLS.
#[test]
fn a_bare_connection_is_a_stream_and_a_pointer() {
    assert_eq!(size_of::<Transport>(), size_of::<TcpStream>() + size_of::<usize>());
}
