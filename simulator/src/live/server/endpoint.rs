//! The target of a run's connections: the URL, the socket address, and TLS if the URL asks for it.

use std::net::SocketAddr;

use super::address::Address;
use crate::live::server::tls::{Tls, Trust};

/// A server's address with the result of its lookup.
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) socket: SocketAddr,
    /// TLS settings; only for `wss://`.
    pub(crate) tls: Option<Tls>,
}

impl Endpoint {
    /// Looks up the address; takes the first socket address if the name has several.
    ///
    /// # Errors
    ///
    /// A sentence: the host name has no address, or no certificate can have this name.
    pub(crate) async fn find(address: &Address, trust: &Trust) -> Result<Self, String> {
        let socket = address.resolve().await.map_err(|error| format!("{address}: {error}"))?;
        let tls = address.is_secure().then(|| Tls::to(&address.host, trust)).transpose();
        let tls = tls.map_err(|sentence| format!("{address}: {sentence}"))?;
        Ok(Self { address: address.clone(), socket, tls })
    }
}
