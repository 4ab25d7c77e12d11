//! The opening handshake as a client sees it: the request, and the response that it may accept (RFC 6455 section 4.1).

use tungstenite::handshake::derive_accept_key;

use crate::wire::codec::Garbled;

/// The longest response head that is read, in bytes: what browsers accept is more.
const LONGEST_HEAD: usize = 64 << 10;

/// The most bytes of a refusal's body that are kept.
const BODY: usize = 200;

/// A field of a request or a response.
type Field<'a> = (&'a str, &'a str);

/// The request of an opening handshake, and the field that its response must contain.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) request: Vec<u8>,
    accept: String,
}

/// What the server answered to an upgrade request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// The head is incomplete.
    Incomplete,
    /// Status 101. `flaws` are the reasons for which a client must refuse it; mostly there is none.
    Upgraded { length: usize, flaws: Vec<String> },
    /// Another status, or no HTTP.
    Refused(Refusal),
}

/// A response that is no upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status code; `None` if the answer is not HTTP.
    pub(crate) status: Option<u16>,
    /// The status line, or the beginning of an answer that is not HTTP.
    pub(crate) line: String,
    /// The value of the Location field.
    pub(crate) location: Option<String>,
    /// The beginning of the body, as far as it has arrived.
    pub(crate) body: String,
}

impl Refusal {
    /// The refusal in one sentence: status, target and body.
    pub(crate) fn sentence(&self) -> String {
        let mut sentence = match self.status {
            Some(_) => format!("the server answered {:?}", self.line),
            None => format!("the server's answer is not HTTP: {:?}", self.line),
        };
        if let Some(location) = &self.location {
            sentence.push_str(&format!(", to {location:?}"));
        }
        if !self.body.is_empty() {
            sentence.push_str(&format!(", with the body {:?}", self.body));
        }
        sentence
    }
}

impl Handshake {
    /// A handshake whose key is drawn from `bits`.
    pub(crate) fn new(path: &str, bits: u64) -> Self {
        Self::to("carillon.test", path, "", bits)
    }

    /// A handshake with this host. Each of the `further` fields ends with CR LF.
    pub(crate) fn to(host: &str, path: &str, further: &str, bits: u64) -> Self {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        // Twenty-one digits and a last one of "AQgw" are the base64 form of 16 bytes.
        let digits = (0..21).map(|place| DIGITS[(bits.rotate_left(place * 3) & 63) as usize] as char);
        let key: String = digits.chain("A==".chars()).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{further}\r\n"
        );
        Self { request: request.into_bytes(), accept: derive_accept_key(key.as_bytes()) }
    }

    /// Reads the response at the front of `bytes` and returns its length; `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// A response with which a client must not go on.
    pub(crate) fn read_response(&self, bytes: &[u8]) -> Result<Option<usize>, Garbled> {
        match self.response(bytes) {
            Response::Incomplete => Ok(None),
            Response::Upgraded { length, flaws } if flaws.is_empty() => Ok(Some(length)),
            Response::Upgraded { flaws, .. } => Err(Garbled(flaws.join("; ").into())),
            Response::Refused(refusal) => Err(Garbled(refusal.sentence().into())),
        }
    }

    /// Reads the response at the front of `bytes`, after interim responses such as 100.
    pub(crate) fn response(&self, bytes: &[u8]) -> Response {
        let mut start = 0;
        loop {
            let rest = &bytes[start..];
            let is_http = rest.starts_with(&b"HTTP/"[..rest.len().min(5)]);
            let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") else {
                return if is_http && rest.len() <= LONGEST_HEAD {
                    Response::Incomplete
                } else {
                    Response::Refused(not_http(rest))
                };
            };
            if !is_http {
                return Response::Refused(not_http(rest));
            }
            let head = String::from_utf8_lossy(&rest[..end]);
            let (line, fields) = parsed(&head);
            let length = end + 4;
            return match status(line) {
                Some(101) => Response::Upgraded { length: start + length, flaws: self.flaws(line, &fields) },
                Some(100..=199) => {
                    start += length;
                    continue;
                }
                status => Response::Refused(refusal(status, line, &fields, &rest[length..])),
            };
        }
    }

    /// Why a client must refuse this 101 (RFC 6455 section 4.1, RFC 9110 section 7.8).
    fn flaws(&self, line: &str, fields: &[Field<'_>]) -> Vec<String> {
        let all = |name: &str| -> Vec<&str> {
            let is_meant = |field: &&Field<'_>| field.0.eq_ignore_ascii_case(name);
            fields.iter().filter(is_meant).map(|field| field.1).collect()
        };
        let has_token = |values: &[&str], token: &str| {
            let tokens = values.iter().flat_map(|value| value.split(','));
            tokens.into_iter().any(|one| one.trim().eq_ignore_ascii_case(token))
        };
        let mut flaws = Vec::new();
        if !line.starts_with("HTTP/1.1 ") {
            flaws.push(format!("a 101 with the status line {line:?}: only HTTP/1.1 has upgrades"));
        }
        for (name, token) in [("Upgrade", "websocket"), ("Connection", "Upgrade")] {
            let values = all(name);
            if values.is_empty() {
                flaws.push(format!("a 101 without the field {name}"));
            } else if !has_token(&values, token) {
                flaws.push(format!("a 101 with {name}: {}, where {token} is due", values.join(", ")));
            }
        }
        let accept = all("Sec-WebSocket-Accept");
        match accept[..] {
            [] => flaws.push("a 101 without Sec-WebSocket-Accept".to_owned()),
            [one] if one == self.accept => {}
            [one] => flaws.push(format!(
                "a 101 with a wrong Sec-WebSocket-Accept: {one:?}, where {:?} is due",
                self.accept
            )),
            _ => flaws.push(format!("a 101 with Sec-WebSocket-Accept {} times", accept.len())),
        }
        self.check_offers(&all, &mut flaws);
        flaws
    }

    /// Checks that the response agrees only to what the request offered, and to one subprotocol at most.
    fn check_offers<'a>(&self, all: &impl Fn(&str) -> Vec<&'a str>, flaws: &mut Vec<String>) {
        let protocols = all("Sec-WebSocket-Protocol");
        let offered = self.offered("Sec-WebSocket-Protocol");
        for protocol in &protocols {
            if !offered.iter().any(|one| one == protocol) {
                flaws.push(format!("a 101 with the subprotocol {protocol:?}, which was not offered"));
            }
        }
        if protocols.len() > 1 {
            flaws.push(format!("a 101 with {} subprotocols", protocols.len()));
        }
        let offered = self.offered("Sec-WebSocket-Extensions");
        let name = |extension: &str| extension.split(';').next().unwrap_or_default().trim().to_owned();
        for extension in all("Sec-WebSocket-Extensions").iter().flat_map(|value| value.split(',')) {
            let extension = extension.trim();
            if !extension.is_empty() && !offered.iter().any(|one| name(one) == name(extension)) {
                flaws.push(format!("a 101 with the extension {extension:?}, which was not offered"));
            }
        }
    }

    /// The elements of a list field of the request.
    fn offered(&self, name: &str) -> Vec<String> {
        let request = String::from_utf8_lossy(&self.request);
        let (_, fields) = parsed(&request);
        let values = fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        values.flat_map(|field| field.1.split(',')).map(|one| one.trim().to_owned()).collect()
    }
}

/// The first line of a head, and its fields.
fn parsed(head: &str) -> (&str, Vec<Field<'_>>) {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let fields = lines.filter_map(|line| line.split_once(':'));
    (line, fields.map(|(name, value)| (name.trim(), value.trim())).collect())
}

/// The status code of a status line; the reason phrase may be missing (RFC 9112 section 4).
fn status(line: &str) -> Option<u16> {
    line.split(' ').nth(1)?.parse().ok()
}

fn refusal(status: Option<u16>, line: &str, fields: &[Field<'_>], body: &[u8]) -> Refusal {
    let location = fields.iter().find(|field| field.0.eq_ignore_ascii_case("Location"));
    Refusal {
        status,
        line: line.to_owned(),
        location: location.map(|field| field.1.to_owned()),
        body: String::from_utf8_lossy(&body[..body.len().min(BODY)]).trim().to_owned(),
    }
}

fn not_http(bytes: &[u8]) -> Refusal {
    let line = String::from_utf8_lossy(&bytes[..bytes.len().min(BODY)]).trim().to_owned();
    Refusal { status: None, line, location: None, body: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(handshake: &Handshake, change: impl Fn(String) -> String) -> Response {
        let accept = &handshake.accept;
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\nrest"
        );
        handshake.response(change(good).as_bytes())
    }

    fn flaws(change: impl Fn(String) -> String) -> Vec<String> {
        match response(&Handshake::new("/ws", 42), change) {
            Response::Upgraded { flaws, .. } => flaws,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_response_needs_status_101_and_the_right_key() {
        let handshake = Handshake::new("/ws", 42);
        assert!(matches!(
            response(&handshake, |good| good),
            Response::Upgraded { length, flaws } if length > 100 && flaws.is_empty()
        ));
        assert_eq!(response(&handshake, |good| good[..40].to_owned()), Response::Incomplete);
        assert!(
            flaws(|good| good.replace("Accept: ", "Accept: x"))[0].contains("wrong Sec-WebSocket-Accept")
        );
        assert!(handshake.read_response(b"HTTP/1.1 503 Full\r\n\r\n").is_err());
    }

    #[test]
    fn a_101_that_browsers_refuse_is_flawed_and_the_field_is_named() {
        for (from, to, named) in [
            ("Upgrade: websocket\r\n", "", "without the field Upgrade"),
            ("Upgrade: websocket", "Upgrade: h2c", "Upgrade: h2c"),
            ("Connection: Upgrade\r\n", "", "without the field Connection"),
            ("Connection: Upgrade", "Connection: keep-alive", "Connection: keep-alive"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n", "\"xmpp\", which was not offered"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "was not offered"),
            ("HTTP/1.1", "HTTP/1.0", "only HTTP/1.1"),
        ] {
            let flaws = flaws(|good| good.replacen(from, to, 1));
            assert!(flaws.len() == 1 && flaws[0].contains(named), "{named}: {flaws:?}");
        }
    }

    #[test]
    fn a_101_may_look_odd() {
        for (from, to) in [
            ("101 Switching Protocols", "101"),
            ("101 Switching Protocols", "101 "),
            (
                "Upgrade: websocket\r\nConnection: Upgrade",
                "upgrade:WebSocket\r\nCONNECTION: keep-alive, upgrade",
            ),
            ("HTTP/1.1 101", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101"),
            ("\r\n\r\n", "\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"),
        ] {
            assert_eq!(flaws(|good| good.replacen(from, to, 1)), Vec::<String>::new(), "{to:?}");
        }
    }

    #[test]
    fn what_was_offered_may_be_agreed_to() {
        let further = "Sec-WebSocket-Protocol: mqtt, xmpp\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        let handshake = Handshake::to("h", "/ws", further, 1);
        let agreed = |fields: &str| {
            response(&handshake, |good| good.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n"), 1))
        };
        let is_fine = |response| matches!(response, Response::Upgraded { flaws, .. } if flaws.is_empty());
        assert!(is_fine(agreed("Sec-WebSocket-Protocol: xmpp")));
        assert!(is_fine(agreed("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10")));
        assert!(!is_fine(agreed("Sec-WebSocket-Protocol: amqp")));
        assert!(!is_fine(agreed("Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Protocol: mqtt")));
    }

    #[test]
    fn a_refusal_tells_status_target_and_body() {
        let handshake = Handshake::new("/ws", 42);
        let refused = |bytes: &[u8]| match handshake.response(bytes) {
            Response::Refused(refusal) => refusal.sentence(),
            other => panic!("{other:?}"),
        };
        let moved = refused(b"HTTP/1.1 302 Found\r\nLocation: ws://h/else\r\n\r\n");
        assert_eq!(moved, "the server answered \"HTTP/1.1 302 Found\", to \"ws://h/else\"");
        let page = refused(b"HTTP/1.1 200 OK\r\n\r\n<html>");
        assert_eq!(page, "the server answered \"HTTP/1.1 200 OK\", with the body \"<html>\"");
        assert_eq!(refused(b"SSH-2.0-OpenSSH\r\n"), "the server's answer is not HTTP: \"SSH-2.0-OpenSSH\"");
    }
}
