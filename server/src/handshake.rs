//! The opening handshake: one HTTP request head, answered with an upgrade or with one plain sentence.

use std::fmt::Write;

use tungstenite::handshake::derive_accept_key;

/// The longest request head, in bytes.
pub(crate) const MAX_HEAD: usize = 8 << 10;

/// The most header fields of a request.
const MAX_FIELDS: usize = 64;

/// The result of reading the bytes that have arrived so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The head is not complete.
    Incomplete,
    /// The server answers with an error status and ends the connection.
    Refuse(Refusal),
    /// The server accepts the upgrade. The bytes from `consumed` on are frames.
    Upgrade { response: String, consumed: usize },
}

/// The reason for which a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadKey,
    BadRequest,
    BadVersion,
    Full,
    NotAnUpgrade,
    NotFound,
    NotGet,
    ShuttingDown,
    TimedOut,
    TooLarge,
}

impl Refusal {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::BadKey | Self::BadRequest | Self::NotGet => 400,
            Self::NotFound => 404,
            Self::TimedOut => 408,
            Self::BadVersion | Self::NotAnUpgrade => 426,
            Self::TooLarge => 431,
            Self::Full | Self::ShuttingDown => 503,
        }
    }

    fn phrase(self) -> &'static str {
        match self.status() {
            404 => "Not Found",
            408 => "Request Timeout",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Bad Request",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::BadKey => "Sec-WebSocket-Key must be the base64 form of 16 bytes.",
            Self::BadRequest => "This is not an HTTP/1.1 request with one Host.",
            Self::BadVersion => "Sec-WebSocket-Version must be 13.",
            Self::Full => "The server is full; try again later.",
            Self::NotAnUpgrade => "This address speaks WebSocket; ask for an upgrade.",
            Self::NotFound => "There is no such path on this server.",
            Self::NotGet => "A WebSocket handshake is a GET request.",
            Self::ShuttingDown => "The server is shutting down; try again later.",
            Self::TimedOut => "The request did not arrive in time.",
            Self::TooLarge => "The request head is larger than 8 KiB or has more than 64 fields.",
        }
    }

    /// The whole HTTP response.
    pub(crate) fn response(self) -> String {
        let (status, phrase, sentence) = (self.status(), self.phrase(), self.sentence());
        let mut response = format!("HTTP/1.1 {status} {phrase}\r\n");
        if status == 426 {
            // RFC 9110 section 15.5.22 and RFC 6455 section 4.2.2 demand that a 426 names the protocol to upgrade to.
            response.push_str("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
        }
        let length = sentence.len() + 1;
        write!(
            response,
            "Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{sentence}\n"
        )
        .expect("writing to a string does not fail");
        response
    }
}

/// Reads the request at the front of `bytes`.
pub(crate) fn answer(bytes: &[u8], path: &str) -> Answer {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let consumed = match request.parse(bytes) {
        Ok(httparse::Status::Complete(consumed)) if consumed <= MAX_HEAD => consumed,
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => return Answer::Incomplete,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Answer::Refuse(Refusal::TooLarge),
        Err(_) => return Answer::Refuse(Refusal::BadRequest),
    };
    match accept_key(&request, path) {
        Ok(key) => Answer::Upgrade { response: upgrade_response(&key), consumed },
        Err(refusal) => Answer::Refuse(refusal),
    }
}

fn accept_key(request: &httparse::Request<'_, '_>, path: &str) -> Result<String, Refusal> {
    if path_of(request.path.unwrap_or_default()) != path {
        return Err(Refusal::NotFound);
    }
    if request.method != Some("GET") {
        return Err(Refusal::NotGet);
    }
    if request.version != Some(1) || field(request, "Host").is_none() {
        return Err(Refusal::BadRequest);
    }
    if !has_token(request, "Upgrade", "websocket") || !has_token(request, "Connection", "upgrade") {
        return Err(Refusal::NotAnUpgrade);
    }
    if field(request, "Sec-WebSocket-Version") != Some(b"13") {
        return Err(Refusal::BadVersion);
    }
    match field(request, "Sec-WebSocket-Key") {
        Some(key) if is_key(key) => Ok(derive_accept_key(key)),
        _ => Err(Refusal::BadKey),
    }
}

/// The path of a request's target, without the query; a target may be a whole URI (RFC 9112 section 3.2.2).
fn path_of(target: &str) -> &str {
    let target = target.split('?').next().unwrap_or_default();
    match target.split_once("://") {
        Some(("http" | "ws", rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        _ => target,
    }
}

/// The value of a field that occurs exactly once; `None` if it is absent or repeated.
fn field<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    let value = values.next()?.value;
    values.next().is_none().then_some(value)
}

/// Whether a list of tokens contains `token`. The list may be spread over several fields (RFC 9110 section 5.6.1).
fn has_token(request: &httparse::Request<'_, '_>, name: &str, token: &str) -> bool {
    request
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .flat_map(|field| field.value.split(|byte| *byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// 16 bytes in base64 are 21 digits, one of four digits that end in four zero bits, and two equal signs.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key[..21].iter().all(is_digit) && b"AQgw".contains(&key[21]) && key.ends_with(b"==")
}

fn upgrade_response(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn status(request: &str) -> u16 {
        match answer(request.as_bytes(), "/ws") {
            Answer::Refuse(refusal) => refusal.status(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_sample_of_the_rfc_is_accepted_and_the_bytes_behind_it_are_not_consumed() {
        let bytes = format!("{REQUEST}\x01\x02");
        let Answer::Upgrade { response, consumed } = answer(bytes.as_bytes(), "/ws") else { panic!() };
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{response}");
        assert_eq!(consumed, REQUEST.len());
    }

    #[test]
    fn a_head_cut_anywhere_is_incomplete() {
        for end in 0..REQUEST.len() {
            assert_eq!(answer(&REQUEST.as_bytes()[..end], "/ws"), Answer::Incomplete, "cut at {end}");
        }
    }

    #[test]
    fn each_invalid_request_has_its_status() {
        assert_eq!(status(&REQUEST.replace("/ws", "/other")), 404);
        assert_eq!(status(&REQUEST.replace("GET", "POST")), 400);
        assert_eq!(status(&REQUEST.replace("HTTP/1.1", "HTTP/1.0")), 400);
        assert_eq!(status(&REQUEST.replace("Upgrade: WebSocket\r\n", "")), 426);
        assert_eq!(status(&REQUEST.replace("keep-alive, Upgrade", "keep-alive")), 426);
        assert_eq!(status(&REQUEST.replace("Version: 13", "Version: 8")), 426);
        for key in [
            "dIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhl!HNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25jZQQ=",
        ] {
            assert_eq!(status(&REQUEST.replace("dGhlIHNhbXBsZSBub25jZQ==", key)), 400, "{key}");
        }
        let second_key = "Host: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(status(&REQUEST.replace("Host: x", second_key)), 400);
        assert_eq!(status(&REQUEST.replace("Host: x\r\n", "")), 400);
        assert_eq!(status(&REQUEST.replace("Host: x", "Host: x\r\nHost: x")), 400);
        assert_eq!(status("hello\r\n\r\n"), 400);
    }

    #[test]
    fn a_query_is_ignored_and_a_longer_path_is_refused() {
        let upgrades =
            |path| matches!(answer(REQUEST.replace("/ws", path).as_bytes(), "/ws"), Answer::Upgrade { .. });
        assert!(upgrades("/ws?token=1"));
        assert!(!upgrades("/ws/"));
    }

    #[test]
    fn a_target_may_be_a_whole_uri() {
        let upgrades =
            |path| matches!(answer(REQUEST.replace("/ws", path).as_bytes(), "/ws"), Answer::Upgrade { .. });
        assert!(upgrades("http://x:8080/ws?to=http://y/"));
        assert!(upgrades("ws://x/ws"));
        assert!(!upgrades("http://x"));
        assert!(!upgrades("ftp://x/ws"));
        assert!(!upgrades("/x?to=http://x/ws"));
    }

    #[test]
    fn a_head_over_8_kib_is_refused_complete_or_not() {
        let padded = |length: usize| {
            let filler = "x".repeat(length - REQUEST.len());
            REQUEST.replace("Host: x", &format!("Host: x{filler}"))
        };
        assert!(matches!(answer(padded(MAX_HEAD).as_bytes(), "/ws"), Answer::Upgrade { .. }));
        assert_eq!(status(&padded(MAX_HEAD + 1)), 431);
        assert_eq!(status(&padded(MAX_HEAD + 100)[..MAX_HEAD + 1]), 431);
        assert_eq!(status(&REQUEST.replace("Host: x", &"A: b\r\n".repeat(65))), 431);
    }

    #[test]
    fn a_refusal_has_the_content_length_of_its_sentence() {
        let response = Refusal::NotFound.response();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{response}");
        assert!(Refusal::BadVersion.response().contains("Sec-WebSocket-Version: 13\r\n"));
    }

    #[test]
    fn a_refusal_names_its_status_and_its_cause() {
        for (refusal, status_line, cause) in [
            (Refusal::BadKey, "400 Bad Request", "Sec-WebSocket-Key"),
            (Refusal::BadRequest, "400 Bad Request", "not an HTTP/1.1 request"),
            (Refusal::BadVersion, "426 Upgrade Required", "must be 13"),
            (Refusal::Full, "503 Service Unavailable", "full"),
            (Refusal::NotAnUpgrade, "426 Upgrade Required", "ask for an upgrade"),
            (Refusal::NotFound, "404 Not Found", "no such path"),
            (Refusal::NotGet, "400 Bad Request", "GET"),
            (Refusal::ShuttingDown, "503 Service Unavailable", "shutting down"),
            (Refusal::TimedOut, "408 Request Timeout", "in time"),
            (Refusal::TooLarge, "431 Request Header Fields Too Large", "8 KiB"),
        ] {
            let response = refusal.response();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status_line}\r\n")), "{response}");
            assert!(body.contains(cause), "{response}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            answer(&bytes, "/ws");
        }
    }
}
