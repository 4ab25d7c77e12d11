//! Where a run's connections go: the URL, the socket address behind its name, and TLS if it asks for that.

use std::net::SocketAddr;

use super::address::Address;
use crate::live::server::tls::{Tls, Trust};

/// A server's address, looked up.
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) socket: SocketAddr,
    /// Only of `wss://`.
    pub(crate) tls: Option<Tls>,
}

impl Endpoint {
    /// Looks it up; the first socket address, if the name has several.
    ///
    /// # Errors
    ///
    /// A sentence about a host name without an address, or a name that no certificate can have.
    pub(crate) async fn find(address: &Address, trust: &Trust) -> Result<Self, String> {
        let socket = address.resolve().await.map_err(|error| format!("{address}: {error}"))?;
        let tls = address.is_secure().then(|| Tls::to(&address.host, trust)).transpose();
        let tls = tls.map_err(|sentence| format!("{address}: {sentence}"))?;
        Ok(Self { address: address.clone(), socket, tls })
    }
}
