//! Arriving replies: each has the right text, comes once, and in the order of the messages.

use carillon_server::Timestamp;

use crate::oracle::connection::Connection;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::score_keeper::ScoreKeeper;
use crate::oracle::sighting::Sighting;
use crate::wire::text::Text;

/// Judges a reply that the client has read. If the reply is the fence of a command, returns when that command was sent.
pub(crate) fn on_echo(
    keeper: &mut ScoreKeeper,
    connection: &mut Connection,
    text: &[u8],
    seen: Sighting,
) -> Option<Timestamp> {
    let expected = connection.echoes.front().filter(|expected| expected.is(text));
    if let Some(expected) = expected {
        on_due_echo(keeper, connection, expected, seen);
    } else {
        on_other_echo(keeper, connection, text, seen);
    }
    connection.windows.on_echo(seen.offset, seen.at)
}

fn on_due_echo(keeper: &mut ScoreKeeper, connection: &mut Connection, expected: Text, seen: Sighting) {
    connection.pop_echo();
    connection.waiting_since = seen.at;
    connection.is_overdue = false;
    connection.echoes_at_drain = connection.echoes_at_drain.saturating_sub(1);
    keeper.exercise(Guarantee::G5, connection.met);
    keeper.exercise(Guarantee::G8, connection.met);
    match expected {
        // The text follows a command in the same write: an answer to the command would have come first.
        Text::Fence(_) | Text::NearMiss(_) => keeper.exercise(Guarantee::G9, connection.met),
        Text::Heartbeat => keeper.exercise(Guarantee::G13, connection.met),
        _ => {}
    }
}

fn on_other_echo(keeper: &mut ScoreKeeper, connection: &mut Connection, text: &[u8], seen: Sighting) {
    if connection.is_mute {
        // The oracle cannot know which of the client's last messages have arrived.
        return;
    }
    let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
    if let Some(offence) = connection.offence.filter(|_| connection.echoes.front().is_none()) {
        return keeper.violate(Guarantee::G12, Fault::Unexpected, seen.at, Some(connection.client), || {
            format!("{offence:?} was answered with a reply to {shown:?}")
        });
    }
    if let Some(skipped) = connection.skipped_echo.take_if(|skipped| skipped.is(text)) {
        return keeper.violate(Guarantee::G5, Fault::OutOfOrder, seen.at, Some(connection.client), || {
            format!("the reply to {skipped} came after one to a later message")
        });
    }
    let is_command = [Text::Subscribe, Text::Unsubscribe].iter().any(|command| command.is(text));
    if is_command {
        return keeper.violate(Guarantee::G9, Fault::Unexpected, seen.at, Some(connection.client), || {
            format!("the server answered the command {shown:?}, or a binary message that holds it")
        });
    }
    if connection.echoes.has_behind_front(|later| later.is(text)) {
        return on_early_echo(keeper, connection, text, &shown, seen);
    }
    match connection.pop_echo() {
        Some(Text::NearMiss(which)) => {
            keeper.violate(Guarantee::G9, Fault::WrongEcho, seen.at, Some(connection.client), || {
                format!(
                    "a reply to {shown:?}; expected one to {}, which is no command",
                    Text::NearMiss(which)
                )
            });
        }
        Some(expected) => {
            keeper.violate(Guarantee::G8, Fault::WrongEcho, seen.at, Some(connection.client), || {
                format!("a reply to {shown:?}; expected the one to {expected}")
            })
        }
        None => keeper.violate(Guarantee::G8, Fault::Unexpected, seen.at, Some(connection.client), || {
            format!("a reply to {shown:?}, which the client never sent or the server has answered before")
        }),
    }
}

/// Judges a reply that comes before earlier ones. Those are lost or out of order: the next few replies decide.
fn on_early_echo(
    keeper: &mut ScoreKeeper,
    connection: &mut Connection,
    text: &[u8],
    shown: &str,
    seen: Sighting,
) {
    let mut skipped = Vec::new();
    while let Some(front) = connection.pop_echo() {
        if front.is(text) {
            break;
        }
        skipped.push(front);
    }
    let Some(&first) = skipped.first() else { return };
    connection.skipped_echo = Some(first);
    let guarantee = guarantee_of_lost(first);
    keeper.violate(guarantee, Fault::Lost, seen.at, Some(connection.client), || {
        format!("the reply to {shown:?} came before the one to {first}")
    });
}

/// The guarantee that is broken when this text is not answered.
pub(crate) fn guarantee_of_lost(text: Text) -> Guarantee {
    match text {
        Text::Heartbeat => Guarantee::G13,
        Text::NearMiss(_) => Guarantee::G9,
        _ => Guarantee::G8,
    }
}
