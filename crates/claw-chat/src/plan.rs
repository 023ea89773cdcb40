use claw_domain::{CallId, Interactive, Location, MediaKind, MessageContent, Sensitive};

use crate::{Command, Notice, command_of};

/// The plan for answering a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Send this text to the assistant.
    Ask(Sensitive<String>),
    /// Obey a command. The text is sent to the assistant if it turns out to be meant for it.
    Obey(Command, Sensitive<String>),
    /// Answer with a notice.
    Say(Notice),
    /// Put the caller through to their assistant.
    PutThrough(CallId),
    /// The call has ended: write the answer the caller has not heard, and let the assistant add to it.
    WrapUp(CallId),
    /// The caller may not have been the user: tell the user about the call.
    Warn(CallId),
    /// Store the message; it needs no answer.
    NoAnswer,
    /// The real message may follow under the same id: answer only if it does not.
    Placeholder,
}

impl Plan {
    /// Decides by the content alone. Only content to which a user expects no answer gets none: reactions,
    /// deleted messages and system notices.
    pub fn of_content(content: &MessageContent) -> Self {
        match content {
            MessageContent::Text(text) => match command_of(text.expose()) {
                Some(command) => Self::Obey(command, text.clone()),
                None => Self::asking(text.expose()),
            },
            // The gateway opens it first.
            MessageContent::SealedPin(_) => Self::Say(Notice::UnknownPin),
            MessageContent::Button { text, .. } => Self::asking(text.expose()),
            MessageContent::Interactive(reply) => of_interactive(reply),
            MessageContent::Location(location) => Self::asking(&describe(location)),
            MessageContent::Media(media) => Self::Say(cannot_read(media.kind)),
            MessageContent::Contacts(_) => Self::Say(Notice::CannotRead("contact cards")),
            MessageContent::Order(_) => Self::Say(Notice::CannotRead("orders")),
            MessageContent::Edit { .. } => Self::Say(Notice::CannotSeeEdits),
            MessageContent::RequestWelcome => Self::Say(Notice::Welcome),
            MessageContent::Unsupported(_) if content.is_placeholder() => Self::Placeholder,
            MessageContent::Unsupported(_) | MessageContent::Unknown { .. } => {
                Self::Say(Notice::CannotRead("this kind of message"))
            }
            MessageContent::Reaction(_)
            | MessageContent::System(_)
            | MessageContent::Revoke { .. } => Self::NoAnswer,
        }
    }

    /// Sends a text to the assistant, unless it is empty.
    pub fn asking(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            Self::Say(Notice::CannotRead("empty messages"))
        } else {
            Self::Ask(text.into())
        }
    }
}

fn of_interactive(reply: &Interactive) -> Plan {
    match reply {
        Interactive::ButtonReply { title, .. } | Interactive::ListReply { title, .. } => {
            Plan::asking(title.expose())
        }
        Interactive::CallPermission { .. } => Plan::NoAnswer,
        Interactive::Flow(_) | Interactive::Unknown(_) => Plan::Say(Notice::CannotRead("forms")),
    }
}

fn describe(location: &Location) -> String {
    let names: Vec<&str> = [&location.name, &location.address]
        .into_iter()
        .flatten()
        .map(|part| part.expose().as_str())
        .collect();
    let (latitude, longitude) = (location.latitude.expose(), location.longitude.expose());
    let coordinates = format!("{latitude}, {longitude}");
    if names.is_empty() {
        format!("I am here: {coordinates}")
    } else {
        format!("Location: {} ({coordinates})", names.join(", "))
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
    fn texts_and_button_replies_are_asked() {
        let reply = Interactive::ButtonReply {
            id: "1".into(),
            title: "Yes, please".into(),
        };

        assert_eq!(
            Plan::of_content(&MessageContent::Text(" hi \n".into())),
            Plan::Ask("hi".into())
        );
        assert_eq!(
            Plan::of_content(&MessageContent::Interactive(reply)),
            Plan::Ask("Yes, please".into())
        );
    }

    #[test]
    fn a_location_is_described_in_words() {
        let location = Location {
            latitude: Sensitive::new(52.5),
            longitude: Sensitive::new(13.4),
            name: Some("Café Kotti".into()),
            address: None,
        };

        assert_eq!(
            Plan::of_content(&MessageContent::Location(location)),
            Plan::Ask("Location: Café Kotti (52.5, 13.4)".into())
        );
    }

    #[test]
    fn unreadable_content_is_answered_with_a_notice() {
        let voice = Media {
            kind: MediaKind::Voice,
            id: Some("1".into()),
            mime_type: None,
            caption: None,
            filename: None,
            sha256: None,
            error_code: None,
        };
        let unknown_kind = MessageContent::Unknown {
            kind: "hologram".into(),
            raw: Sensitive::new(json!({})),
        };

        for content in [MessageContent::Media(voice), unknown_kind] {
            assert!(matches!(
                Plan::of_content(&content),
                Plan::Say(Notice::CannotRead(_))
            ));
        }
    }

    #[test]
    fn a_reaction_gets_no_answer() {
        let reaction = MessageContent::Reaction(Reaction {
            message: Wamid::new("wamid.B"),
            emoji: Some("👍".into()),
        });
        assert_eq!(Plan::of_content(&reaction), Plan::NoAnswer);
    }

    #[test]
    fn a_placeholder_waits_for_the_real_message() {
        let placeholder = Unsupported {
            code: Some(131_060),
            kind: None,
        };

        assert_eq!(
            Plan::of_content(&MessageContent::Unsupported(placeholder)),
            Plan::Placeholder
        );
    }
}
