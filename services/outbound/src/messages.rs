use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Address, DeliveryId, Wamid};
use claw_whatsapp::{
    format::to_parameter,
    send::{SendError, Template, WhatsApp},
};
use strum::IntoStaticStr;

/// How long after a user's message WhatsApp accepts any text to them: 24 hours, less a minute for messages that
/// arrive there late.
const WINDOW: TimeDelta = TimeDelta::minutes(24 * 60 - 1);

/// The content of one WhatsApp message.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Content<'a> {
    Text(&'a str),
    /// A text inside a template.
    Template {
        template: &'a Template,
        /// The parameter of the template's body, on one line.
        text: String,
    },
}

/// One WhatsApp message of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatsAppMessage<'a> {
    pub content: Content<'a>,
    /// Sent instead if WhatsApp accepts only a template.
    pub fallback: Option<Content<'a>>,
}

impl Content<'_> {
    /// Sends this to `to`.
    pub async fn send(
        &self,
        whatsapp: &dyn WhatsApp,
        to: &Address,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        match self {
            Self::Text(text) => whatsapp.send_text(to, text, tracker).await,
            Self::Template { template, text } => {
                whatsapp.send_template(to, template, text, tracker).await
            }
        }
    }

    /// Whether this is a template.
    pub const fn is_template(&self) -> bool {
        matches!(self, Self::Template { .. })
    }

    /// The name used in metrics.
    pub fn as_str(&self) -> &'static str {
        self.into()
    }
}

/// The WhatsApp messages for the pieces of a reply: one text each, or one template with as much of the beginning of
/// the reply as fits. A template is needed if the user has not written for a day, which `last_written_at` tells, or
/// if WhatsApp says so.
pub fn messages_of<'a>(
    pieces: &'a [String],
    template: Option<&'a Template>,
    last_written_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<WhatsAppMessage<'a>> {
    let mut in_template = template.map(|template| Content::Template {
        template,
        text: to_parameter(&pieces.join("\n")),
    });
    if !window_is_open(last_written_at, now)
        && let Some(content) = in_template.take_if(|_| !pieces.is_empty())
    {
        return vec![WhatsAppMessage {
            content,
            fallback: None,
        }];
    }
    let texts = pieces.iter().map(|text| WhatsAppMessage {
        content: Content::Text(text),
        // Only the first message has a fallback: once it is accepted as text, so are the others.
        fallback: in_template.take(),
    });
    texts.collect()
}

fn window_is_open(last_written_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_written_at.is_some_and(|written| now - written < WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + minutes * 60, 0).unwrap()
    }

    fn template() -> Template {
        "assistant_writes:en".parse().unwrap()
    }

    fn pieces() -> Vec<String> {
        vec!["One.\n\nTwo.".to_owned(), "Three.".to_owned()]
    }

    #[test]
    fn within_the_window_a_reply_is_sent_as_texts_with_a_template_as_fallback() {
        let (pieces, template) = (pieces(), template());

        let messages = messages_of(&pieces, Some(&template), Some(at(0)), at(24 * 60 - 2));

        let contents: Vec<_> = messages.iter().map(|message| &message.content).collect();
        assert_eq!(
            contents,
            [&Content::Text(&pieces[0]), &Content::Text(&pieces[1])]
        );
        let fallback = Content::Template {
            template: &template,
            text: "One. Two. Three.".to_owned(),
        };
        assert_eq!(
            (&messages[0].fallback, &messages[1].fallback),
            (&Some(fallback), &None)
        );
    }

    #[test]
    fn outside_the_window_a_reply_is_sent_as_one_template() {
        let (pieces, template) = (pieces(), template());

        for last_written_at in [None, Some(at(1))] {
            let messages = messages_of(&pieces, Some(&template), last_written_at, at(24 * 60));

            let [only] = &messages[..] else {
                panic!("{messages:?}")
            };
            assert!(only.content.is_template());
            assert_eq!(only.fallback, None);
        }
    }

    #[test]
    fn without_a_configured_template_every_reply_is_sent_as_texts() {
        let pieces = pieces();

        let messages = messages_of(&pieces, None, None, at(0));

        assert_eq!(messages.len(), 2);
        let has_template = |message: &WhatsAppMessage<'_>| {
            message.content.is_template() || message.fallback.is_some()
        };
        assert!(!messages.iter().any(has_template));
    }

    #[test]
    fn a_blank_reply_has_no_message_even_outside_the_window() {
        assert!(messages_of(&[], Some(&template()), None, at(0)).is_empty());
    }
}
