use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Address, DeliveryId, Wamid};
use claw_whatsapp::{
    format::to_parameter,
    send::{SendError, Template, WhatsApp},
};

/// How long after a person's message WhatsApp takes whatever is written to them. Less a minute: what is
/// sent at the very end may arrive there after it.
const WINDOW: TimeDelta = TimeDelta::minutes(24 * 60 - 1);

/// What one message says, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form<'a> {
    /// As it is.
    Text(&'a str),
    /// In a template.
    Template {
        /// Which one.
        template: &'a Template,
        /// What is put into it.
        text: String,
    },
}

/// One message of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording<'a> {
    /// How it is sent.
    pub form: Form<'a>,
    /// How it is sent if WhatsApp says that only a template passes.
    pub instead: Option<Form<'a>>,
}

impl Form<'_> {
    /// Hands this to WhatsApp.
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
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Template { .. } => "template",
        }
    }
}

/// The messages these pieces become. Where only a template passes, the whole reply is one: as much of its
/// beginning as fits. That is known beforehand of whoever has not written for a day, and said by WhatsApp
/// of whoever else it is.
pub fn forms_of<'a>(
    pieces: &'a [String],
    template: Option<&'a Template>,
    last_written_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<Wording<'a>> {
    let mut in_template = template.map(|template| Form::Template {
        template,
        text: to_parameter(&pieces.join("\n")),
    });
    if !window_is_open(last_written_at, now)
        && let Some(form) = in_template.take_if(|_| !pieces.is_empty())
    {
        return vec![Wording {
            form,
            instead: None,
        }];
    }
    let texts = pieces.iter().map(|text| Wording {
        form: Form::Text(text),
        // What follows a message that passed as text has no other form.
        instead: in_template.take(),
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
    fn who_wrote_within_a_day_gets_texts_and_a_template_if_whatsapp_wants_one() {
        let (pieces, template) = (pieces(), template());

        let forms = forms_of(&pieces, Some(&template), Some(at(0)), at(24 * 60 - 2));

        let texts: Vec<_> = forms.iter().map(|wording| &wording.form).collect();
        assert_eq!(texts, [&Form::Text(&pieces[0]), &Form::Text(&pieces[1])]);
        let instead = Form::Template {
            template: &template,
            text: "One. Two. Three.".to_owned(),
        };
        assert_eq!(
            (&forms[0].instead, &forms[1].instead),
            (&Some(instead), &None)
        );
    }

    #[test]
    fn who_has_not_written_for_a_day_or_ever_gets_one_template() {
        let (pieces, template) = (pieces(), template());

        for last_written_at in [None, Some(at(1))] {
            let forms = forms_of(&pieces, Some(&template), last_written_at, at(24 * 60));

            let [only] = &forms[..] else {
                panic!("{forms:?}")
            };
            assert!(only.form.is_template());
            assert_eq!(only.instead, None);
        }
    }

    #[test]
    fn without_a_template_everything_is_tried_as_text() {
        let pieces = pieces();

        let forms = forms_of(&pieces, None, None, at(0));

        assert_eq!(forms.len(), 2);
        let has_template =
            |wording: &Wording<'_>| wording.form.is_template() || wording.instead.is_some();
        assert!(!forms.iter().any(has_template));
    }

    #[test]
    fn a_blank_reply_is_nothing_also_in_a_template() {
        assert!(forms_of(&[], Some(&template()), None, at(0)).is_empty());
    }
}
