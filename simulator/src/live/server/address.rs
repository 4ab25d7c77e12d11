//! The address of the server under test: a URL and its parts.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::net::lookup_host;
use tungstenite::http::Uri;

/// Default ports (RFC 6455 section 3), without and with TLS.
const DEFAULT_PORT: u16 = 80;
const SECURE_PORT: u16 = 443;

/// A server's address, as its URL states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: String,
    is_secure: bool,
    /// A name or an IP address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) target: String,
}

impl Address {
    /// Parses a `ws://` or `wss://` URL.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the URL.
    pub fn parse(url: &str) -> Result<Self, String> {
        let allowed = "write a URL such as ws://127.0.0.1:8080/ws";
        let uri: Uri = url.parse().map_err(|error| format!("it does not parse ({error}); {allowed}"))?;
        let is_secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(format!("it must begin with ws:// or wss://; {allowed}")),
        };
        let authority = uri.authority().ok_or_else(|| format!("it names no host; {allowed}"))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port @ 1..) => port,
            None if !has_port && is_secure => SECURE_PORT,
            None if !has_port => DEFAULT_PORT,
            _ => return Err(format!("its port is not a number from 1 to 65535; {allowed}")),
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(Self { url: url.to_owned(), is_secure, host, port, target })
    }

    /// Whether the URL asks for TLS (`wss://`).
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The value of the request's Host field: without the port where it is the usual one, as browsers send it.
    pub(crate) fn host_field(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.is_secure { SECURE_PORT } else { DEFAULT_PORT };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// Looks up the socket address; the first one if the name has several.
    ///
    /// # Errors
    ///
    /// The host name has no address.
    pub(crate) async fn resolve(&self) -> io::Result<SocketAddr> {
        let mut found = lookup_host((self.host.as_str(), self.port)).await?;
        found.next().ok_or_else(|| io::Error::other(format!("{} has no address", self.host)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let address = Address::parse("ws://127.0.0.1:8080/ws?x=1").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", 8080));
        assert_eq!(address.target, "/ws?x=1");
        let address = Address::parse("ws://[::1]/").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 80));
        assert_eq!(address.host_field(), "[::1]");
        assert!(!address.is_secure());
        let address = Address::parse("wss://example.org").unwrap();
        assert_eq!((address.port, address.is_secure()), (443, true));
        assert_eq!(address.host_field(), "example.org");
        assert_eq!(Address::parse("wss://h:8443/").unwrap().host_field(), "h:8443");
        assert_eq!(Address::parse("ws://h").unwrap().target, "/");
    }

    #[test]
    fn a_url_that_is_not_a_websocket_url_is_refused_with_a_reason() {
        for (url, expected) in [
            ("http://h/", "must begin with"),
            ("wss://h:0/", "port"),
            ("127.0.0.1:8080", "must begin with"),
            ("ws://h:99999/", "port"),
            ("ws://h:0/", "port"),
            ("ws://", "does not parse"),
        ] {
            let sentence = Address::parse(url).unwrap_err();
            assert!(sentence.contains(expected), "{url}: {sentence}");
        }
    }
}
