//! How a client of the live arm opens its connection.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use tokio::time::timeout_at;

use super::live_client::LiveClient;
use crate::live::judge::{LiveConnection, Observation};
use crate::live::run_state::{RunState, SocketOptions};
use crate::live::server::tls;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::model::Windows;
use crate::oracle::score::Fault;
use crate::script::verb::Utterance;
use crate::wire::handshake::{Handshake, Refusal, Response};
use crate::wire::text::Text;

/// The length of the text that is sent behind a request, in bytes.
const EARLY_TEXT: u32 = 200;

/// The form of a client's upgrade request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RequestForm {
    /// As in the examples of RFC 6455.
    #[default]
    Plain,
    /// With several connection options, as Firefox sends them.
    KeepAlive,
    /// With field names and tokens in other cases, as some proxies write them.
    OtherCase,
    /// With a text right behind the request, in the same write.
    WithText,
}

impl RequestForm {
    fn apply(self, request: &[u8]) -> Vec<u8> {
        let usual = "Upgrade: websocket\r\nConnection: Upgrade";
        let other = match self {
            Self::Plain | Self::WithText => return request.to_vec(),
            Self::KeepAlive => "Upgrade: websocket\r\nConnection: keep-alive, Upgrade",
            Self::OtherCase => "upgrade: WebSocket\r\nCONNECTION: upgrade",
        };
        String::from_utf8_lossy(request).replace(usual, other).into_bytes()
    }

    /// What is special about the request, if anything.
    const fn peculiarity(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::KeepAlive => {
                Some("its request had \"Connection: keep-alive, Upgrade\", as Firefox sends it")
            }
            Self::OtherCase => Some(
                "its request had \"upgrade: WebSocket\" and \"CONNECTION: upgrade\": neither names nor tokens have a case",
            ),
            Self::WithText => Some("it sent a text before the 101"),
        }
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
    /// The server answered with another status than 101. The second part says what was special about the request.
    Refused(Refusal, Option<&'static str>),
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => write!(f, "cannot connect: {error}"),
            Self::Tls(sentence) => f.write_str(sentence),
            Self::Handshake(cause) => write!(f, "no upgrade: {cause}"),
            Self::Refused(refusal, None) => write!(f, "no upgrade: {}", refusal.sentence()),
            Self::Refused(refusal, Some(peculiarity)) => {
                write!(f, "no upgrade: {}; {peculiarity}", refusal.sentence())
            }
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
        let connection = new_connection(state, role, number, handshake.request.len());
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
            bytes_at: (now, now),
            last_binary: None,
            opening_texts: 0,
            echoes_heard: 0,
            missing: 0,
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
        client.complete_handshake(&handshake, form).await?;
        Ok(client)
    }

    async fn complete_handshake(
        &mut self,
        handshake: &Handshake,
        form: RequestForm,
    ) -> Result<(), NoConnection> {
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
            match handshake.response(&arrived) {
                Response::Incomplete => {}
                Response::Refused(refusal) => {
                    return Err(NoConnection::Refused(refusal, form.peculiarity()));
                }
                Response::Upgraded { length, flaws } => {
                    self.report_flaws(flaws);
                    self.connection.core.phase = Phase::Open;
                    self.connection.core.received = length as u64;
                    self.state.judge.borrow_mut().on_sign_of_life(self.state.pulse.arrival());
                    self.read_frames(&arrived[length..]);
                    return Ok(());
                }
            }
        }
    }

    /// Reports why clients must refuse this 101. This client goes on nevertheless, so that the other promises are
    /// put to the test.
    fn report_flaws(&mut self, flaws: Vec<String>) {
        let (now, client) = (self.now(), self.number());
        for flaw in flaws {
            let outcome = format!("{flaw}: clients must refuse it (RFC 6455 §4.1)");
            let seen = Observation::of(self.connection.role, outcome);
            self.state.judge.borrow_mut().violate(Guarantee::G12, Fault::Garbled, now, client, seen);
        }
    }
}

/// The connection of client `number`, whose request has this many bytes.
fn new_connection(state: &RunState, role: &'static str, number: u32, request: usize) -> LiveConnection {
    let now = state.now();
    let windows = Windows::new(now, request as u64, 0);
    let windows = if state.dialect.is_subscribed { windows } else { windows.unsubscribed() };
    let core = Connection::new(number, 1, windows, 0, now);
    let audited = state.judge.borrow().grid.newest(now);
    LiveConnection::new(core, role, audited)
}
