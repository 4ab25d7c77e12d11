//! The terminal client over TLS: a certificate that is trusted, one that is not, and a server without TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, process};

use futures::{SinkExt, StreamExt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;

/// Far longer than any of these takes: a test that hangs must fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// An echo behind TLS, under a certificate of its own for `name`.
struct SecureEcho {
    url: String,
    root: PathBuf,
    task: JoinHandle<()>,
}

impl SecureEcho {
    async fn start(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let root = env::temp_dir().join(format!("carillon-connect-{}-{}.pem", process::id(), address.port()));
        fs::write(&root, cert.pem()).unwrap();
        let task = tokio::spawn(echo(listener, TlsAcceptor::from(Arc::new(config))));
        Self { url: format!("wss://{address}/ws"), root, task }
    }

    fn trust(&self) -> Trust {
        Trust::with_roots_of(Path::new(&self.root)).unwrap()
    }
}

impl Drop for SecureEcho {
    fn drop(&mut self) {
        self.task.abort();
        fs::remove_file(&self.root).ok();
    }
}

/// Serves one client after the other, until the task is aborted.
async fn echo(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that does not trust the certificate ends here.
        let Ok(stream) = acceptor.accept(stream).await else { continue };
        let Ok(mut socket) = accept_async(stream).await else { continue };
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                socket.send(format!("Server received: {text}").into()).await.ok();
            }
        }
    }
}

async fn talk(url: &str, trust: Trust, lines: &str) -> (Result<(), ConnectError>, String) {
    let (mut keyboard, input) = duplex(1 << 10);
    keyboard.write_all(lines.as_bytes()).await.unwrap();
    let mut output = Vec::new();
    let options = Options { trust, ..Options::new(url) };
    let result = timeout(PATIENCE, run(options, input, &mut output)).await.expect("it ends in time");
    (result, String::from_utf8(output).unwrap())
}

#[tokio::test]
async fn the_client_connects_to_a_server_whose_certificate_is_trusted() {
    let server = SecureEcho::start("127.0.0.1").await;
    let (result, output) = talk(&server.url, server.trust(), "over TLS\nquit\n").await;
    result.expect("the certificate is trusted");
    assert!(output.contains("Server received: over TLS\n"), "{output}");
    assert!(output.ends_with("* closed\n"), "{output}");
    let (result, output) = talk(&server.url, Trust::any_certificate(), "quit\n").await;
    result.expect("any certificate is accepted");
    assert!(output.ends_with("* closed\n"), "{output}");
}

#[tokio::test]
async fn the_client_ends_with_a_sentence_if_the_certificate_is_wrong() {
    let server = SecureEcho::start("127.0.0.1").await;
    let (result, _) = talk(&server.url, Trust::default(), "").await;
    let sentence = result.expect_err("the issuer is unknown").to_string();
    assert!(sentence.contains("is from an issuer that is not known here"), "{sentence}");
    assert!(sentence.contains("--ca FILE") && sentence.contains("--insecure"), "{sentence}");
    let server = SecureEcho::start("elsewhere.test").await;
    let (result, _) = talk(&server.url, server.trust(), "").await;
    let sentence = result.expect_err("the certificate is for another name").to_string();
    assert!(sentence.contains("is not for 127.0.0.1") && sentence.contains("elsewhere.test"), "{sentence}");
}

#[tokio::test]
async fn the_client_says_that_a_server_does_not_speak_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/ws", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Open until the client has seen the answer.
        accept_async(stream).await.ok();
    });
    let (result, _) = talk(&url, Trust::default(), "").await;
    plain.abort();
    let sentence = result.expect_err("this is no TLS").to_string();
    assert!(sentence.contains("does not speak TLS") && sentence.contains("ws://"), "{sentence}");
}
