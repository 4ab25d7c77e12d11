//! One connection from its first message to its end, and the pause before the next one.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io::{self, Write};
use std::mem;
use std::pin::pin;
use std::time::Duration;

use carillon_server::log::escape;
use carillon_server::protocol::{SUBSCRIBE, UNSUBSCRIBE};
use futures::future::join;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::AsyncRead;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::backoff::Backoff;
use super::error::ConnectError;
use super::keyboard::{Input, Line};
use super::opening::Socket;
use super::screen::Screen;

/// What the app says when a connection opens.
const HELLO: &str = "Hello, Server!";

/// What the app says from its timer.
const HEARTBEAT: &str = "Heartbeat";

/// What is said of a server that is given up.
const SILENCE: &str = "no sign of life from the server since the last heartbeat";

/// How long the end of a connection may take once a Close was sent or received.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

type Sink = SplitSink<Socket, Message>;
type Stream = SplitStream<Socket>;

/// The person's side: what they type, what they see, and where their switch stands.
pub(super) struct App<R, W> {
    /// What they type.
    pub(super) input: Input<R>,
    /// What they see.
    pub(super) screen: Screen<W>,
    /// The time between two heartbeats; zero means none.
    pub(super) heartbeat: Duration,
    /// Where their switch stands.
    pub(super) wants_pushes: bool,
}

impl<R: AsyncRead + Unpin, W: Write> App<R, W> {
    /// Serves one connection to its end: `None` if the person left, else what ended it.
    ///
    /// Sending never keeps it from reading: a server that stops reading until its replies are read would wait forever.
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
            // The order of the arms is drawn anew each time, so no flood of one kind starves the others.
            tokio::select! {
                arrived = stream.next() => {
                    if let Some(cause) = self.take(arrived, &mut stream).await? {
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

    /// Waits, obeying the lines that need no connection; `false` if the person left.
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

    /// Shows what arrived; what ended the connection, if that is what it was.
    async fn take(
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

    /// Why nothing can be sent any more: a Close that waits to be read knows better than the socket's error.
    async fn explain(&mut self, error: Error, stream: &mut Stream) -> Result<String, ConnectError> {
        let told = self.listen_to_the_end(stream).await?;
        Ok(told.unwrap_or_else(|| lost(&error)))
    }

    /// A new connection is subscribed (G1), so a switch that is off has to be told again, and before the hello: the
    /// answer to that is then the proof that it was understood.
    fn greeting(&self) -> VecDeque<Message> {
        let command = (!self.wants_pushes).then(|| UNSUBSCRIBE.into());
        command.into_iter().chain([HELLO.into()]).collect()
    }

    /// What a line makes the app send.
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

    /// Closes from this side, and shows what was on its way.
    async fn leave(&mut self, mut sink: Sink, mut stream: Stream) -> Result<(), ConnectError> {
        let close = Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
        let sending = timeout(FAREWELL_LIMIT, sink.send(close));
        let (sent, told) = join(sending, self.listen_to_the_end(&mut stream)).await;
        let was_clean = told?.is_some() && matches!(sent, Ok(Ok(())));
        Ok(self.screen.say(if was_clean { "closed" } else { "gone, without a Close from the server" })?)
    }

    /// Shows what still arrives, for a bounded time: what the server's Close says, if one is among it.
    ///
    /// Reading on is also what sends the answer to a Close.
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
        // A server that does not hang up in time is left as it is.
        timeout(FAREWELL_LIMIT, reading).await.unwrap_or(Ok(()))?;
        Ok(told)
    }
}

/// Hands the queue to the socket. It can be dropped and called again: a message leaves the queue with its last poll.
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

/// Ends after `period`; after zero, never.
async fn timer(period: Duration) {
    if period.is_zero() { pending().await } else { sleep(period).await }
}
