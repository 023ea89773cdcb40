use claw_chat::{Command, Notice, command_of};
use claw_domain::{CallId, Interactive, Location, MediaKind, MessageContent, Sensitive};
use claw_events::{CallerInput, Utterance};
use claw_store::{Call, Origin, VoiceKind, WaitingMessage};

use crate::queue::{Item, Way};

/// What to do with something a person sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// Put this to the assistant.
    Ask(Sensitive<String>),
    /// Do this ourselves; said in these words, should it turn out to be meant for the assistant.
    Obey(Command, Sensitive<String>),
    /// Answer with a line of our own.
    Say(Notice),
    /// Put this caller through to their assistant.
    PutThrough(CallId),
    /// The call is over: write what the caller did not stay to hear, and let the assistant add to it.
    WrapUp(CallId),
    /// Write it down; it wants no answer.
    Keep,
    /// The real message may follow under the same id: answer only if it does not.
    AwaitTheReal,
}

/// Decides by the content alone. Nothing ends in silence but what a person would not expect an
/// answer to: a reaction, a retraction, news about the account.
pub(crate) fn plan(content: &MessageContent) -> Plan {
    match content {
        MessageContent::Text(text) => match command_of(text.expose()) {
            Some(command) => Plan::Obey(command, text.clone()),
            None => ask(text.expose()),
        },
        MessageContent::Button { text, .. } => ask(text.expose()),
        MessageContent::Interactive(tap) => plan_tap(tap),
        MessageContent::Location(place) => ask(&describe(place)),
        MessageContent::Media(media) => Plan::Say(cannot_read(media.kind)),
        MessageContent::Contacts(_) => Plan::Say(Notice::CannotRead("contact cards")),
        MessageContent::Order(_) => Plan::Say(Notice::CannotRead("orders")),
        MessageContent::Edit { .. } => Plan::Say(Notice::CannotSeeEdits),
        MessageContent::RequestWelcome => Plan::Say(Notice::Welcome),
        MessageContent::Unsupported(_) if content.is_placeholder() => Plan::AwaitTheReal,
        MessageContent::Unsupported(_) | MessageContent::Unknown { .. } => {
            Plan::Say(Notice::CannotRead("this kind of message"))
        }
        MessageContent::Reaction(_) | MessageContent::System(_) | MessageContent::Revoke { .. } => {
            Plan::Keep
        }
    }
}

/// What a caller said goes to their assistant.
pub(crate) fn plan_spoken(turn: &Utterance) -> Plan {
    match &turn.words {
        CallerInput::Words(text) => ask(text.expose()),
        CallerInput::Keys(keys) => {
            Plan::Ask(format!("(I pressed {} on the phone.)", keys.expose()).into())
        }
    }
}

/// The end of a call: the assistant may have something to write; who could not be put through hears in the
/// chat that they can be now, for this waits behind their [`Plan::PutThrough`].
pub(crate) fn plan_after(call: &Call) -> Plan {
    if call.is_open_to_its_user() && call.turns > 0 {
        Plan::WrapUp(call.id)
    } else if call.setup_awaited {
        Plan::Say(Notice::AssistantReady)
    } else {
        Plan::Keep
    }
}

/// What the transcript says where a call ended.
pub(crate) const CALL_IS_OVER: &str = "(The phone call is over.)";

/// A message as the database has it, which may have been put to the assistant before.
pub(crate) fn item_of(message: &WaitingMessage) -> Item {
    let (way, plan) = match &message.origin {
        Origin::WhatsApp { wamid } => (Way::Chat(wamid.clone()), plan(&content_of(message))),
        Origin::Voice { call, turn, kind } => of_call(*call, *turn, *kind, message),
    };
    Item {
        plan: match plan {
            // It was put to the assistant, so it was no order.
            Plan::Obey(_, text) if message.batch.is_some() => Plan::Ask(text),
            plan @ (Plan::Ask(_)
            | Plan::Obey(..)
            | Plan::Say(_)
            | Plan::PutThrough(_)
            | Plan::WrapUp(_)
            | Plan::Keep
            | Plan::AwaitTheReal) => plan,
        },
        id: message.id,
        way,
        sequence: message.sequence,
        taken_at: message.taken_at,
        batch: message.batch,
        may_have_been_sent: true,
    }
}

fn of_call(call: CallId, turn: u32, kind: VoiceKind, message: &WaitingMessage) -> (Way, Plan) {
    match kind {
        VoiceKind::CallStarted => (Way::AfterCall, Plan::PutThrough(call)),
        VoiceKind::Speech => {
            let spoken = serde_json::from_str::<Utterance>(message.content.expose()).ok();
            let plan = spoken.as_ref().map_or(Plan::Keep, plan_spoken);
            let heard = spoken.and_then(|spoken| spoken.heard);
            (Way::Call { call, turn, heard }, plan)
        }
        // Turns were counted: somebody was heard.
        VoiceKind::CallEnded if turn > 0 => (Way::AfterCall, Plan::WrapUp(call)),
        VoiceKind::CallEnded => (Way::AfterCall, Plan::Say(Notice::AssistantReady)),
    }
}

/// Words are kept as they are, anything else as JSON: see `intake`.
fn content_of(message: &WaitingMessage) -> MessageContent {
    if message.content_kind == TEXT {
        return MessageContent::Text(message.content.clone());
    }
    serde_json::from_str(message.content.expose()).unwrap_or_else(|_| MessageContent::Unknown {
        kind: message.content_kind.clone(),
        raw: Sensitive::new(serde_json::Value::Null),
    })
}

/// The kind of a message whose words are kept as they are.
const TEXT: &str = "text";

fn plan_tap(tap: &Interactive) -> Plan {
    match tap {
        Interactive::ButtonReply { title, .. } | Interactive::ListReply { title, .. } => {
            ask(title.expose())
        }
        Interactive::CallPermission { .. } => Plan::Keep,
        Interactive::Flow(_) | Interactive::Unknown(_) => Plan::Say(Notice::CannotRead("forms")),
    }
}

fn ask(text: &str) -> Plan {
    let text = text.trim();
    if text.is_empty() {
        Plan::Say(Notice::CannotRead("empty messages"))
    } else {
        Plan::Ask(text.into())
    }
}

fn describe(place: &Location) -> String {
    let named: Vec<&str> = [&place.name, &place.address]
        .into_iter()
        .flatten()
        .map(|part| part.expose().as_str())
        .collect();
    let (latitude, longitude) = (place.latitude.expose(), place.longitude.expose());
    let at = format!("{latitude}, {longitude}");
    if named.is_empty() {
        format!("I am here: {at}")
    } else {
        format!("Location: {} ({at})", named.join(", "))
    }
}

fn cannot_read(kind: MediaKind) -> Notice {
    Notice::CannotRead(match kind {
        MediaKind::Image => "pictures",
        MediaKind::Video => "videos",
        MediaKind::Document => "documents",
        MediaKind::Sticker => "stickers",
        MediaKind::Audio => "audio files",
        MediaKind::Voice => "voice notes",
    })
}

#[cfg(test)]
mod tests {
    use claw_domain::{Media, Reaction, Unsupported, Wamid};
    use serde_json::json;

    use super::*;

    #[test]
    fn words_and_taps_go_to_the_assistant() {
        let tap = Interactive::ButtonReply {
            id: "1".into(),
            title: "Yes, please".into(),
        };

        assert_eq!(
            plan(&MessageContent::Text(" hi \n".into())),
            Plan::Ask("hi".into())
        );
        assert_eq!(
            plan(&MessageContent::Interactive(tap)),
            Plan::Ask("Yes, please".into())
        );
    }

    #[test]
    fn a_place_is_put_into_words() {
        let place = Location {
            latitude: Sensitive::new(52.5),
            longitude: Sensitive::new(13.4),
            name: Some("Café Kotti".into()),
            address: None,
        };

        assert_eq!(
            plan(&MessageContent::Location(place)),
            Plan::Ask("Location: Café Kotti (52.5, 13.4)".into())
        );
    }

    #[test]
    fn what_we_cannot_read_yet_gets_an_honest_line() {
        let voice = Media {
            kind: MediaKind::Voice,
            id: Some("1".into()),
            mime_type: None,
            caption: None,
            filename: None,
            sha256: None,
            error_code: None,
        };
        let new_kind = MessageContent::Unknown {
            kind: "hologram".into(),
            raw: Sensitive::new(json!({})),
        };

        for content in [MessageContent::Media(voice), new_kind] {
            assert!(matches!(plan(&content), Plan::Say(Notice::CannotRead(_))));
        }
    }

    #[test]
    fn what_wants_no_answer_gets_none() {
        let reaction = MessageContent::Reaction(Reaction {
            message: Wamid::new("wamid.B"),
            emoji: Some("👍".into()),
        });
        assert_eq!(plan(&reaction), Plan::Keep);
    }

    #[test]
    fn a_placeholder_waits_for_the_real_message() {
        let ghost = Unsupported {
            code: Some(131_060),
            kind: None,
        };

        assert_eq!(
            plan(&MessageContent::Unsupported(ghost)),
            Plan::AwaitTheReal
        );
    }
}
