//! The effects of a text message: a line in the log, a command, an answer.

use std::sync::Arc;

use tokio::time::{Duration, sleep};
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};

use super::{
    clock::{now, stamp},
    defect::Defect,
    outbox::{Encoded, encode},
    server::{CompactServer, Member},
};

impl CompactServer {
    /// Logs a text. Executes it if it is a command, and answers it otherwise.
    pub(super) fn on_text(&self, member: &Arc<Member>, text: &str, echo: Option<String>) {
        let command = self.command(text);
        let is_omitted = match self.defect {
            Some(Defect::OmitsCommandsFromLog) => command.is_some(),
            Some(Defect::OmitsTextsFromLog) => command.is_none(),
            _ => false,
        };
        if !is_omitted {
            let shown = if self.has(Defect::LogsRawText) { text.to_owned() } else { escape(text) };
            self.log(format!("Received message: {shown}"));
        }
        member.wish().spoke = now();
        let parked = member.wish().parked.take();
        if let Some(on) = parked {
            self.apply(member, on);
        }
        if let Some(on) = command {
            self.on_command(member, on);
        }
        if text == "Heartbeat" {
            self.on_heartbeat(member);
        }
        match self.defect {
            Some(Defect::AcknowledgesCommands) if command.is_some() => self.send(member, "OK"),
            Some(Defect::EchoesCommands) => self.reply(member, text),
            Some(Defect::MutesUnsubscribed) if member.wish().since.is_none() => {}
            Some(Defect::SwallowsHeartbeat) if text == "Heartbeat" => {}
            _ if command.is_some() => {}
            _ => echo.iter().for_each(|echo| self.reply(member, echo)),
        }
    }

    /// The command that the text is, if it is one.
    fn command(&self, text: &str) -> Option<bool> {
        let lower = text.to_lowercase();
        let text = match self.defect {
            Some(Defect::IgnoresCommandCase) => &lower,
            Some(Defect::MatchesSubstring) if text.contains("subscribe") => "subscribe",
            Some(Defect::TrimsCommands) => text.trim(),
            _ => text,
        };
        match text {
            "subscribe" => Some(true),
            "unsubscribe" => Some(false),
            _ => None,
        }
    }

    fn on_command(&self, member: &Member, on: bool) {
        let time = match self.defect {
            Some(Defect::LogsStaleTime) => *self.last_cycle.lock().expect("no task panics with the lock"),
            _ => (self.clock)(),
        };
        let wording = match on != self.has(Defect::SwapsLogWording) {
            true => "开启推送",
            false => "关闭推送",
        };
        let command = if on { "subscribe" } else { "unsubscribe" };
        self.log(format!("[{}] {command}: {wording}", stamp(time)));
        if self.has(Defect::AppliesCommandOnNextText) {
            member.wish().parked = Some(on);
        } else {
            self.apply(member, on);
        }
    }

    fn apply(&self, member: &Member, on: bool) {
        let mut wish = member.wish();
        let was_on = wish.since.is_some();
        let on = if self.has(Defect::TogglesOnCommand) { !was_on } else { on };
        match (on, self.defect) {
            (false, Some(Defect::IgnoresUnsubscribe)) | (true, Some(Defect::IgnoresSubscribe)) => {}
            (false, Some(Defect::UnsubscribesAtNextCycle)) => wish.leaving = true,
            (false, _) => (wish.since, wish.until, wish.copies) = (None, Some(now()), 1),
            (true, defect) => {
                wish.leaving = false;
                wish.since.get_or_insert_with(now);
                wish.copies += usize::from(was_on && defect == Some(Defect::PushesPerSubscribe));
            }
        }
    }

    fn on_heartbeat(&self, member: &Arc<Member>) {
        match self.defect {
            Some(Defect::AnswersHeartbeatTwice) => self.reply(member, "Heartbeat"),
            Some(Defect::ResubscribesOnHeartbeat) => self.apply(member, true),
            Some(Defect::WaitsForHeartbeat) if member.wish().until.is_none() => self.apply(member, true),
            _ => {}
        }
    }

    fn reply(&self, member: &Arc<Member>, text: &str) {
        let mut reply = format!("Server received: {text}");
        match self.defect {
            Some(Defect::GarblesNonAscii) => reply = reply.replace(|letter: char| !letter.is_ascii(), "?"),
            Some(Defect::OmitsEchoSpace) => reply = format!("Server received:{text}"),
            Some(Defect::TruncatesEcho) => reply = cut(&reply, 512).to_owned(),
            _ => {}
        }
        let number = {
            let mut wish = member.wish();
            wish.replies += 1;
            wish.replies
        };
        if self.has(Defect::EchoesOutOfOrder) && number.is_multiple_of(2) {
            let member = member.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(5)).await;
                member.outbox.offer(&text_frame(&reply));
            });
        } else {
            self.send(member, &reply);
        }
    }

    fn send(&self, member: &Member, text: &str) {
        member.outbox.offer(&text_frame(text));
    }
}

fn text_frame(text: &str) -> Encoded {
    encode(Frame::message(text.to_owned(), OpCode::Data(Data::Text), true))
}

/// The longest prefix of whole characters that fits.
fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// The text with visible control characters, so that no client can forge log lines.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => escaped.extend(letter.escape_default()),
            false => escaped.push(letter),
        }
    }
    escaped
}
