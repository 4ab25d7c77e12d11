//! A proxy that terminates TLS in front of a server without TLS, with a certificate from an unknown issuer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, process};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A proxy that serves until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    root: PathBuf,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy whose certificate is for this name.
    pub(crate) async fn start(server: SocketAddr, name: &str) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([name.to_owned()]).expect("a name that a certificate can have");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key of a known kind");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for both versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("the key is the certificate's");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("a socket that listens has an address");
        let root = env::temp_dir().join(format!("carillon-{}-{}.pem", process::id(), address.port()));
        fs::write(&root, cert.pem()).expect("there is room for a file");
        let task = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), server));
        Self { address, root, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("wss://{}/ws", self.address)
    }

    /// The file with the root certificate for the proxy's certificate.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        fs::remove_file(&self.root).ok();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, server: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            // A client that does not trust the proxy, or vanishes, ends its connection.
            let Ok(mut client) = acceptor.accept(stream).await else { return };
            let Ok(mut server) = TcpStream::connect(server).await else { return };
            server.set_nodelay(true).ok();
            copy_bidirectional(&mut client, &mut server).await.ok();
        });
    }
}
