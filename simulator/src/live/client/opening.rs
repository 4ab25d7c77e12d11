//! How a client of the live arm opens its connection.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use tokio::time::timeout_at;

use super::live_client::LiveClient;
use crate::live::judge::LiveConnection;
use crate::live::run_state::{RunState, SocketOptions};
use crate::live::server::tls;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::model::Windows;
use crate::script::verb::Utterance;
use crate::wire::codec::Handshake;
use crate::wire::text::Text;

/// The length of the text that is sent behind a request, in bytes.
const EARLY_TEXT: u32 = 200;

/// The form of a client's upgrade request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RequestForm {
    /// As in the examples of RFC 6455.
    #[default]
    Plain,
    /// As browsers and proxies write it: names and tokens in other cases, and several connection options.
    Browser,
    /// With a text right behind the request, in the same write.
    WithText,
}

impl RequestForm {
    fn apply(self, request: &[u8]) -> Vec<u8> {
        if self != Self::Browser {
            return request.to_vec();
        }
        let usual = "Upgrade: websocket\r\nConnection: Upgrade";
        let other = "UPGRADE: WebSocket\r\nconnection: keep-alive, Upgrade";
        String::from_utf8_lossy(request).replace(usual, other).into_bytes()
    }
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// The socket did not open.
    Socket(io::Error),
    /// TLS with the server failed; the sentence says why.
    Tls(String),
    /// The server did not complete the handshake.
    Handshake(String),
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => write!(f, "cannot connect: {error}"),
            Self::Tls(sentence) => f.write_str(sentence),
            Self::Handshake(cause) => write!(f, "no upgrade: {cause}"),
        }
    }
}

impl NoConnection {
    /// The reason for an I/O error of a connection attempt.
    pub(crate) fn new(state: &RunState, error: io::Error) -> Self {
        match tls::explain(&state.address.host, &error) {
            Some(sentence) => Self::Tls(sentence),
            None => Self::Socket(error),
        }
    }
}

impl LiveClient {
    /// Connects and completes the handshake. `role` names the client in violations.
    pub(crate) async fn connect(state: &Rc<RunState>, role: &'static str) -> Result<Self, NoConnection> {
        Self::connect_with(state, role, SocketOptions::default()).await
    }

    /// The same, with this form of the request.
    pub(crate) async fn connect_in_form(
        state: &Rc<RunState>,
        role: &'static str,
        form: RequestForm,
    ) -> Result<Self, NoConnection> {
        Self::connect_in_form_with(state, role, SocketOptions::default(), form).await
    }

    /// The same, with a receive buffer of about `window` bytes.
    pub(crate) async fn connect_with_window(
        state: &Rc<RunState>,
        role: &'static str,
        window: u32,
    ) -> Result<Self, NoConnection> {
        Self::connect_with(state, role, SocketOptions { window: Some(window), ..SocketOptions::default() })
            .await
    }

    /// The same, with these socket options.
    pub(crate) async fn connect_with(
        state: &Rc<RunState>,
        role: &'static str,
        plug: SocketOptions,
    ) -> Result<Self, NoConnection> {
        Self::connect_in_form_with(state, role, plug, RequestForm::Plain).await
    }

    async fn connect_in_form_with(
        state: &Rc<RunState>,
        role: &'static str,
        plug: SocketOptions,
        form: RequestForm,
    ) -> Result<Self, NoConnection> {
        let (number, mut rng) = state.register_client();
        let further: String =
            state.dialect.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let target = state.dialect.path.as_deref().unwrap_or(&state.address.target);
        let handshake = Handshake::to(&state.address.host_field(), target, &further, rng.bits());
        let transport = state.open(plug).await.map_err(|error| NoConnection::new(state, error))?;
        let now = state.now();
        let mut windows = Windows::new(now, handshake.request.len() as u64, 0);
        if !state.dialect.is_subscribed {
            windows = windows.unsubscribed();
        }
        let core = Connection::new(number, 1, windows, 0, now);
        let audited = state.judge.borrow().grid.newest(now);
        let connection =
            LiveConnection { core, role, audited, last_stated: i64::MIN, pushes: 0, is_excluded: false };
        let mut client = Self {
            state: Rc::clone(state),
            transport,
            connection,
            rng,
            outgoing: form.apply(&handshake.request),
            pings: VecDeque::new(),
            last_number: 0,
            story: VecDeque::new(),
            has_story: true,
            echo_timed_since: None,
            last_pong_at: None,
            is_reading: true,
            is_broken: false,
            answers_pings: true,
            end: None,
            close_code: None,
            closed_with: None,
            may_be_ended: false,
        };
        if form == RequestForm::WithText {
            let number = client.next_number();
            client.compose(Utterance::Text(Text::Probe { number, length: EARLY_TEXT }));
        }
        client.complete_handshake(&handshake).await?;
        Ok(client)
    }

    async fn complete_handshake(&mut self, handshake: &Handshake) -> Result<(), NoConnection> {
        let refused = |cause: &str| NoConnection::Handshake(cause.to_owned());
        let deadline = self.state.pulse.instant(self.state.now() + self.state.patience);
        let mut arrived = Vec::new();
        loop {
            self.write();
            match timeout_at(deadline, self.transport.readable()).await {
                Ok(ready) => ready.map_err(NoConnection::Socket)?,
                Err(_) => return Err(refused("the server did not answer in time")),
            }
            let mut buffer = self.state.borrow_buffer();
            let result = self.transport.try_read(&mut buffer);
            if let Ok(length) = result {
                arrived.extend_from_slice(&buffer[..length]);
            }
            self.state.return_buffer(buffer);
            match result {
                Ok(0) => return Err(refused("the server ended the connection")),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(NoConnection::Socket(error)),
            }
            if let Some(length) = handshake.read_response(&arrived).map_err(|garbled| refused(garbled.0))? {
                self.connection.core.phase = Phase::Open;
                self.connection.core.received = length as u64;
                self.read_frames(&arrived[length..]);
                return Ok(());
            }
        }
    }
}
