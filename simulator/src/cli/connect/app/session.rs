//! One connection from its first message to its end, and the pause before the next one.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io::{self, Write};
use std::mem;
use std::pin::pin;
use std::time::Duration;

use carillon_server::log::escape;
use carillon_server::protocol::{SUBSCRIBE, UNSUBSCRIBE};
use carillon_simulator::live::Backoff;
use futures::future::join;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::AsyncRead;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::error::ConnectError;
use super::keyboard::{Input, Line};
use super::opening::Socket;
use super::screen::Screen;

/// The message that the client sends when a connection opens.
const HELLO: &str = "Hello, Server!";

/// The message that the client sends from its timer.
const HEARTBEAT: &str = "Heartbeat";

/// The cause that is printed when the client drops the connection to a silent server.
const SILENCE: &str = "no sign of life from the server since the last heartbeat";

/// The longest time for the end of a connection after a Close was sent or received.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

type Sink = SplitSink<Socket, Message>;
type Stream = SplitStream<Socket>;

/// The user's side: keyboard, screen, and the switch for the pushes.
pub(super) struct App<R, W> {
    /// The lines that the user types.
    pub(super) input: Input<R>,
    /// The lines that the user sees.
    pub(super) screen: Screen<W>,
    /// The time between two heartbeats; zero means none.
    pub(super) heartbeat: Duration,
    /// Whether the user's switch is on.
    pub(super) wants_pushes: bool,
}

impl<R: AsyncRead + Unpin, W: Write> App<R, W> {
    /// Serves one connection to its end: `None` if the user left, else what ended the connection.
    ///
    /// The client reads while it sends: a server that stops reading until its replies are read would otherwise wait
    /// forever.
    pub(super) async fn talk(
        &mut self,
        socket: Socket,
        backoff: &mut Backoff,
    ) -> Result<Option<String>, ConnectError> {
        self.screen.say("connected")?;
        let (mut sink, mut stream) = socket.split();
        let mut outgoing = self.greeting();
        let (mut is_sending, mut was_heard) = (true, false);
        let mut heartbeat = pin!(timer(self.heartbeat));
        loop {
            // `select!` polls its arms in random order, so a flood on one arm does not starve the others.
            tokio::select! {
                arrived = stream.next() => {
                    if let Some(cause) = self.handle_arrival(arrived, &mut stream).await? {
                        return Ok(Some(cause));
                    }
                    was_heard = true;
                    backoff.reset();
                }
                sent = send(&mut sink, &mut outgoing), if is_sending => {
                    is_sending = false;
                    if let Err(error) = sent {
                        return self.explain(error, &mut stream).await.map(Some);
                    }
                }
                line = self.input.next(), if !is_sending => match line? {
                    Line::Quit => return self.leave(sink, stream).await.map(|()| None),
                    line => {
                        outgoing.extend(self.obey(line)?);
                        is_sending = !outgoing.is_empty();
                    }
                },
                () = &mut heartbeat => {
                    if !mem::take(&mut was_heard) {
                        return Ok(Some(SILENCE.to_owned()));
                    }
                    outgoing.push_back(HEARTBEAT.into());
                    is_sending = true;
                    heartbeat.set(timer(self.heartbeat));
                }
            }
        }
    }

    /// Waits, and obeys the lines that need no connection; `false` if the user left.
    pub(super) async fn pause(&mut self, wait: Duration) -> Result<bool, ConnectError> {
        let mut over = pin!(sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return Ok(true),
                line = self.input.next() => match line? {
                    Line::Quit => return Ok(false),
                    Line::Switch(on) => {
                        self.wants_pushes = on;
                        self.screen.say(if on { "on, once connected" } else { "off, once connected" })?;
                    }
                    Line::Garbled | Line::Text(_) => self.screen.say("not sent, because there is no connection")?,
                },
            }
        }
    }

    /// Prints a message that arrived. Returns what ended the connection, if it has ended.
    async fn handle_arrival(
        &mut self,
        arrived: Option<Result<Message, Error>>,
        stream: &mut Stream,
    ) -> Result<Option<String>, ConnectError> {
        match arrived {
            Some(Ok(Message::Close(frame))) => {
                self.listen_to_the_end(stream).await?;
                Ok(Some(closed(frame)))
            }
            Some(Ok(message)) => {
                self.screen.show(&message)?;
                Ok(None)
            }
            Some(Err(error)) => Ok(Some(lost(&error))),
            None => Ok(Some("connection lost".to_owned())),
        }
    }

    /// Why nothing can be sent any more. A Close that waits to be read says more than the socket's error.
    async fn explain(&mut self, error: Error, stream: &mut Stream) -> Result<String, ConnectError> {
        let told = self.listen_to_the_end(stream).await?;
        Ok(told.unwrap_or_else(|| lost(&error)))
    }

    /// The first messages of a connection. A new connection is subscribed (G1), so the client unsubscribes again if the
    /// switch is off. It does so before the greeting: the answer to the greeting then proves that the server has
    /// unsubscribed the client.
    fn greeting(&self) -> VecDeque<Message> {
        let command = (!self.wants_pushes).then(|| UNSUBSCRIBE.into());
        command.into_iter().chain([HELLO.into()]).collect()
    }

    /// The message that the client sends because of this line.
    fn obey(&mut self, line: Line) -> io::Result<Option<Message>> {
        match line {
            Line::Garbled => self.screen.say("not sent, because it is not UTF-8").map(|()| None),
            Line::Quit => Ok(None),
            Line::Switch(on) => {
                self.wants_pushes = on;
                Ok(Some(if on { SUBSCRIBE } else { UNSUBSCRIBE }.into()))
            }
            Line::Text(text) => Ok(Some(text.into())),
        }
    }

    /// Closes the connection from this side, and prints the messages that were on their way.
    async fn leave(&mut self, mut sink: Sink, mut stream: Stream) -> Result<(), ConnectError> {
        let close = Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
        let sending = timeout(FAREWELL_LIMIT, sink.send(close));
        let (sent, told) = join(sending, self.listen_to_the_end(&mut stream)).await;
        let was_clean = told?.is_some() && matches!(sent, Ok(Ok(())));
        Ok(self.screen.say(if was_clean { "closed" } else { "gone, without a Close from the server" })?)
    }

    /// Prints the messages that still arrive, for a bounded time. Returns what the server's Close says, if one arrives.
    ///
    /// Reading also sends the answer to a Close.
    async fn listen_to_the_end(&mut self, stream: &mut Stream) -> Result<Option<String>, ConnectError> {
        let mut told = None;
        let reading = async {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Close(frame) => told = Some(closed(frame)),
                    message => self.screen.show(&message)?,
                }
            }
            Ok::<(), io::Error>(())
        };
        // The client does not wait longer for a server that does not end the connection in time.
        timeout(FAREWELL_LIMIT, reading).await.unwrap_or(Ok(()))?;
        Ok(told)
    }
}

/// Passes the queue to the socket. The future may be dropped, and the function called again: a message leaves the queue
/// only when the socket takes it.
async fn send(sink: &mut Sink, outgoing: &mut VecDeque<Message>) -> Result<(), Error> {
    while !outgoing.is_empty() {
        poll_fn(|context| sink.poll_ready_unpin(context)).await?;
        outgoing.pop_front().map_or(Ok(()), |message| sink.start_send_unpin(message))?;
    }
    sink.flush().await
}

fn closed(frame: Option<CloseFrame>) -> String {
    match frame {
        Some(frame) if frame.reason.is_empty() => format!("closed by the server: {}", frame.code),
        Some(frame) => format!("closed by the server: {} {}", frame.code, escape(&frame.reason)),
        None => "closed by the server, without a code".to_owned(),
    }
}

fn lost(error: &Error) -> String {
    match error {
        Error::Io(error) => format!("connection lost: {error}"),
        error => format!("connection lost: {error}"),
    }
}

/// Returns after `period`; never if `period` is zero.
async fn timer(period: Duration) {
    if period.is_zero() { pending().await } else { sleep(period).await }
}
