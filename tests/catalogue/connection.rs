//! One connection from its handshake to its end: one task that reads, writes and waits at the same time.

use std::{future::poll_fn, ops::ControlFlow, pin::pin, sync::Arc, task::ready};

use futures::{StreamExt, future::join};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    select,
    time::{Duration, Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        handshake::server::{ErrorResponse, Request, Response},
        http::StatusCode,
        protocol::{
            WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::{
    clock::now,
    defect::Defect,
    fragments::Fragments,
    outbox::{Outbox, encode},
    server::{CompactServer, Member, Membership},
    tap::{Head, Tap},
};

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
const HEAD_TOO_LONG: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n";

/// The work that is left when a conversation is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nothing: the peer is dead or the stream broken.
    Drop,
    /// Write the rest; the client sends nothing more.
    Finish,
    /// Write the rest, and read on until the client ends its side: a close with unread input would reset the stream and
    /// destroy the Close on its way.
    Linger,
}

/// The reason why a conversation was over, as far as the leaking defects distinguish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Abrupt,
    Closed,
    Dead,
    Handshake,
    Malformed,
}

type Socket<'a, R> = WebSocketStream<&'a mut Tap<R>>;
type Over = (Ending, Cause);

impl CompactServer {
    /// Serves one stream from its first byte to its last.
    pub(crate) async fn serve<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (input, mut output) = tokio::io::split(stream);
        let outbox = Outbox::new(self.settings.outbox_limit, self.budget.clone(), self.defect);
        let Some(ticket) = self.admit(&outbox) else { return };
        let mut tap = Tap::new(input, outbox.clone());
        let cause = self.run(ticket.id, &mut tap, &outbox, &mut output).await;
        if self.leaks(cause) {
            let kept = Box::new((tap, output));
            self.leaked.lock().expect("no task panics with the lock").push(kept);
        }
    }

    async fn run<R, W>(
        self: &Arc<Self>,
        id: u64,
        tap: &mut Tap<R>,
        outbox: &Arc<Outbox>,
        output: &mut W,
    ) -> Cause
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut writing = pin!(outbox.write_to(output));
        let (ending, cause) = {
            let listening = pin!(self.listen(id, tap, outbox));
            select! {
                biased;
                over = listening => over,
                written = &mut writing => match written {
                    Ok(()) => return Cause::Closed,
                    Err(_) => return Cause::Abrupt,
                },
            }
        };
        let patience = match self.defect {
            Some(Defect::DrainsForever) if self.is_draining() => FOREVER,
            _ => self.settings.close_timeout,
        };
        match ending {
            Ending::Drop => {}
            Ending::Finish => drop(timeout(patience, writing).await),
            Ending::Linger => drop(timeout(patience, join(writing, tap.discard())).await),
        }
        cause
    }

    fn leaks(&self, cause: Cause) -> bool {
        match self.defect {
            Some(Defect::LeaksAbruptClose) => cause == Cause::Abrupt,
            Some(Defect::LeaksFailedHandshake) => cause == Cause::Handshake,
            Some(Defect::LeaksProtocolError) => cause == Cause::Malformed,
            _ => false,
        }
    }

    /// Reads until the end of the conversation. The output is then sealed, or does not matter.
    async fn listen<R>(self: &Arc<Self>, id: u64, tap: &mut Tap<R>, outbox: &Arc<Outbox>) -> Over
    where
        R: AsyncRead + Unpin,
    {
        let limit =
            if self.has(Defect::WaitsForHandshake) { FOREVER } else { self.settings.handshake_timeout };
        let upgraded = select! {
            biased;
            () = outbox.sealed() => return (Ending::Finish, Cause::Handshake),
            upgraded = timeout(limit, self.upgrade(tap, outbox)) => upgraded,
        };
        let mut socket = match upgraded {
            Ok(Ok(socket)) => socket,
            Ok(Err(ending)) => {
                outbox.seal();
                return (ending, Cause::Handshake);
            }
            Err(_) => return (Ending::Drop, Cause::Handshake),
        };
        outbox.open();
        socket.get_mut().open();
        let mut membership = self.join(id, outbox);
        if self.has(Defect::TimesEachConnection) {
            tokio::spawn(self.clone().tick_alone(membership.member.clone()));
        }
        let over = self.converse(&mut socket, &membership).await;
        self.forget(&mut membership, over.1);
        over
    }

    /// Marks an entry that a defect never removes.
    fn forget(&self, membership: &mut Membership, cause: Cause) {
        membership.keeps_entry = match self.defect {
            Some(Defect::KeepsAbruptEntry) => cause == Cause::Abrupt,
            Some(Defect::KeepsDeadEntry) => cause == Cause::Dead,
            _ => false,
        };
    }

    async fn upgrade<'a, R>(&self, tap: &'a mut Tap<R>, outbox: &Outbox) -> Result<Socket<'a, R>, Ending>
    where
        R: AsyncRead + Unpin,
    {
        match tap.read_head().await {
            Head::Gone => return Err(Ending::Finish),
            Head::Read => {}
            Head::TooLong => {
                outbox.put_raw(HEAD_TOO_LONG);
                return Err(Ending::Linger);
            }
        }
        if matches!(self.defect, Some(Defect::DecodesEachFragment | Defect::EchoesLastFragment)) {
            tap.fragments = Some(Fragments::default());
        }
        if self.has(Defect::DelaysUpgrade) {
            sleep(Duration::from_secs(8)).await;
        }
        let path = self.settings.path.clone();
        #[expect(clippy::result_large_err, reason = "the library asks for this type")]
        let check = move |request: &Request, response: Response| {
            if request.uri().path() == path { Ok(response) } else { Err(not_found()) }
        };
        accept_hdr_async_with_config(tap, check, Some(self.config())).await.map_err(|error| {
            if !matches!(error, Error::Http(_)) {
                outbox.put_raw(BAD_REQUEST);
            }
            Ending::Linger
        })
    }

    /// Small buffers, as there are many connections with small messages.
    fn config(&self) -> WebSocketConfig {
        let longest = match self.defect {
            Some(Defect::RejectsLargest) => self.settings.max_message.saturating_sub(1),
            Some(Defect::TakesOversize) => self.settings.max_message * 4,
            _ => self.settings.max_message,
        };
        WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest))
            .accept_unmasked_frames(self.has(Defect::AcceptsUnmasked))
    }

    /// The open phase.
    async fn converse<R>(self: &Arc<Self>, socket: &mut Socket<'_, R>, membership: &Membership) -> Over
    where
        R: AsyncRead + Unpin,
    {
        let member = &membership.member;
        let outbox = &member.outbox;
        let mut watch = Watch { interval: self.settings.ping_interval, pinged: None };
        let mut answered = u64::MAX;
        loop {
            let heard = socket.get_ref().heard.max(outbox.moved());
            let deadline =
                if self.has(Defect::NeverFindsDead) { now() + FOREVER } else { watch.deadline(heard) };
            let step = select! {
                biased;
                () = outbox.sealed() => return (Ending::Linger, Cause::Closed),
                message = next(socket, outbox) => match message {
                    Some(Ok(Message::Text(text))) => {
                        let echo = self.echo_of(socket, &text, &mut answered);
                        self.on_text(member, &text, echo);
                        ControlFlow::Continue(())
                    }
                    Some(Ok(message)) => self.on_other(socket, member, message),
                    Some(Err(error)) => self.on_error(member, &error),
                    None => self.on_gone(member),
                },
                () = sleep_until(deadline) => {
                    self.on_silence(&mut watch, socket.get_ref().heard.max(outbox.moved()), member)
                }
            };
            if let ControlFlow::Break(over) = step {
                return over;
            }
        }
    }

    /// The text that the echo repeats; `None` if there is no echo.
    fn echo_of<R>(&self, socket: &mut Socket<'_, R>, text: &str, answered: &mut u64) -> Option<String>
    where
        R: AsyncRead + Unpin,
    {
        let tap = socket.get_mut();
        let first = std::mem::replace(answered, tap.reads) != tap.reads;
        let frames = tap.fragments.as_mut().map(Fragments::take_message).unwrap_or_default();
        let last = text.len() - frames.last().copied().unwrap_or(text.len()).min(text.len());
        match self.defect {
            Some(Defect::AnswersOncePerRead) if !first => None,
            Some(Defect::DecodesEachFragment) => Some(decode_each(text.as_bytes(), &frames)),
            Some(Defect::EchoesLastFragment) => {
                Some(String::from_utf8_lossy(&text.as_bytes()[last..]).into())
            }
            _ => Some(text.to_owned()),
        }
    }

    fn on_other<R>(&self, socket: &mut Socket<'_, R>, member: &Member, message: Message) -> ControlFlow<Over>
    where
        R: AsyncRead + Unpin,
    {
        if let (Message::Binary(_), Some(fragments)) = (&message, &mut socket.get_mut().fragments) {
            fragments.take_message();
        }
        match message {
            Message::Binary(bytes) if self.has(Defect::EchoesBinary) => {
                member.outbox.offer(&encode(Frame::message(bytes, OpCode::Data(Data::Binary), true)));
            }
            Message::Close(_) if self.has(Defect::IgnoresClose) => {
                member.outbox.seal();
                return ControlFlow::Break((Ending::Finish, Cause::Closed));
            }
            Message::Close(frame) => {
                member.outbox.answer_close(frame);
                return ControlFlow::Break((Ending::Finish, Cause::Closed));
            }
            Message::Ping(_) if self.has(Defect::IgnoresPing) => {}
            Message::Ping(_) if self.has(Defect::AnswersPingEmpty) => {
                member.outbox.offer(&encode(Frame::pong("")))
            }
            Message::Ping(bytes) => member.outbox.offer(&encode(Frame::pong(bytes))),
            Message::Pong(_) if self.has(Defect::DiesOnPong) => {
                member.outbox.close(CloseCode::Protocol);
                return ControlFlow::Break((Ending::Linger, Cause::Malformed));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn on_error(&self, member: &Member, error: &Error) -> ControlFlow<Over> {
        let code = match error {
            Error::Capacity(_) => CloseCode::Size,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return self.on_gone(member),
            Error::Protocol(_) => CloseCode::Protocol,
            Error::Utf8(_) => CloseCode::Invalid,
            _ => return self.on_gone(member),
        };
        let code = match (self.defect, code) {
            (Some(Defect::ClosesBadUtf8As1002), CloseCode::Invalid) => CloseCode::Protocol,
            (Some(Defect::ClosesProtocolErrorAs1000), _) => CloseCode::Normal,
            (Some(Defect::ClosesEverybody), CloseCode::Protocol) => {
                self.members().iter().for_each(|other| other.outbox.close(code));
                code
            }
            (Some(Defect::ClosesOversizeSilently), CloseCode::Size) => {
                member.outbox.seal();
                code
            }
            _ => code,
        };
        member.outbox.close(code);
        ControlFlow::Break((Ending::Linger, Cause::Malformed))
    }

    /// The client ended its side without a Close. Queued answers are still written, as the client may be reading.
    fn on_gone(&self, member: &Member) -> ControlFlow<Over> {
        member.outbox.seal();
        ControlFlow::Break((Ending::Finish, Cause::Abrupt))
    }

    /// Pings a silent client, and drops it when it does not answer. A timer that is very late means that the server
    /// slept: then the client is pinged again.
    fn on_silence(&self, watch: &mut Watch, heard: Instant, member: &Member) -> ControlFlow<Over> {
        let due = watch.deadline(heard);
        let late = now().checked_duration_since(due);
        match late {
            None => {}
            Some(_) if self.has(Defect::DropsQuiet) => {
                return ControlFlow::Break((Ending::Drop, Cause::Dead));
            }
            Some(late) if watch.pinged.is_some() && late < watch.interval / 2 => {
                return ControlFlow::Break((Ending::Drop, Cause::Dead));
            }
            Some(_) => {
                watch.pinged = Some(now());
                member.outbox.offer(&encode(Frame::ping("")));
            }
        }
        ControlFlow::Continue(())
    }
}

/// The silence of a client.
struct Watch {
    interval: Duration,
    pinged: Option<Instant>,
}

impl Watch {
    /// The instant of the next action for a client that was last heard at the given instant.
    fn deadline(&mut self, heard: Instant) -> Instant {
        self.pinged = self.pinged.filter(|&pinged| pinged > heard);
        self.pinged.unwrap_or(heard) + self.interval
    }
}

/// The next message. It is read only while the outbox has room for its reply, so a flood of echoes stalls itself.
async fn next<R>(socket: &mut Socket<'_, R>, outbox: &Outbox) -> Option<Result<Message, Error>>
where
    R: AsyncRead + Unpin,
{
    poll_fn(|cx| {
        ready!(outbox.poll_room(cx));
        socket.poll_next_unpin(cx)
    })
    .await
}

fn decode_each(mut bytes: &[u8], frames: &[usize]) -> String {
    let mut text = String::new();
    for &length in frames {
        let (frame, rest) = bytes.split_at(length.min(bytes.len()));
        text.push_str(&String::from_utf8_lossy(frame));
        bytes = rest;
    }
    text
}

fn not_found() -> ErrorResponse {
    let mut response = ErrorResponse::new(Some("There is nothing here.".to_owned()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
