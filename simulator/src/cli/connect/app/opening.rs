//! Opens connections, and explains why one cannot be opened.

use std::time::Duration;

use carillon_server::log::escape;
use carillon_simulator::live::{explain, is_final};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{Response, Uri};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::error::ConnectError;

/// The longest time for a server to accept the connection and to answer the handshake.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// The length of a refusal's body that is shown, in characters.
const SHOWN_OF_BODY: usize = 200;

/// An open connection.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Refuses a URL that cannot be a server's address, before the client tries to connect.
pub(super) fn check(url: &str) -> Result<(), ConnectError> {
    let cause = match url.split_once("://") {
        Some(("ws" | "wss", _)) => match url.into_client_request() {
            Ok(request) if has_usable_port(request.uri()) => return Ok(()),
            Ok(_) => "its port is not a number up to 65535".to_owned(),
            Err(Error::Url(cause)) => cause.to_string(),
            Err(Error::HttpFormat(cause)) => format!("it does not parse: {cause}"),
            Err(error) => error.to_string(),
        },
        _ => "it must begin with ws:// or wss://".to_owned(),
    };
    let url = url.to_owned();
    Err(ConnectError::Url { url, cause })
}

/// Whether the port is absent or one: a port that is neither would be taken for the default one.
fn has_usable_port(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| {
        authority.port_u16().is_some() || authority.as_str().ends_with(authority.host())
    })
}

/// Opens a connection and makes the handshake.
pub(super) async fn open(url: &str, connector: Connector) -> Result<Socket, ConnectError> {
    // Without Nagle's algorithm: a line is to leave when it is typed.
    let opening = connect_async_tls_with_config(url, None, true, Some(connector));
    let cause = match timeout(OPEN_LIMIT, opening).await {
        Ok(Ok((socket, _))) => return Ok(socket),
        Ok(Err(Error::Url(cause))) => {
            return Err(ConnectError::Url { url: url.to_owned(), cause: cause.to_string() });
        }
        Ok(Err(Error::Http(response))) => refusal(&response),
        Ok(Err(Error::Io(error))) => match explain(&host(url), &error) {
            Some(cause) if is_final(&error) => {
                return Err(ConnectError::Tls { url: url.to_owned(), cause });
            }
            Some(cause) => cause,
            None => error.to_string(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", OPEN_LIMIT.as_secs()),
    };
    Err(ConnectError::Refused { url: url.to_owned(), cause })
}

/// The host that a URL names; it has one, for it was checked.
fn host(url: &str) -> String {
    url.parse().ok().and_then(|uri: Uri| uri.host().map(str::to_owned)).unwrap_or_default()
}

/// The status of a handshake that was answered with anything but an upgrade, and the server's sentence about it.
fn refusal(response: &Response<Option<Vec<u8>>>) -> String {
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
    let sentence: String = body.trim().chars().take(SHOWN_OF_BODY).collect();
    let separator = if sentence.is_empty() { "" } else { ": " };
    format!("the server answered {}{separator}{}", response.status(), escape(&sentence))
}
