use serde::Serialize;

use super::{
    schema::warn_of_attributes,
    xml::{self, Element},
};

/// Largest document that Twilio accepts.
const DOCUMENT_LIMIT_BYTES: usize = 64 * 1024;

/// The verbs of a document, and warnings for its author.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) verbs: Vec<Verb>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verb {
    Spoken(Spoken),
    Redirect {
        url: String,
    },
    Hangup,
    Reject,
    Gather(Box<Gather>),
    Connect {
        action: Option<String>,
        relay: Element,
    },
}

/// A verb that the caller hears, on its own or inside a Gather.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spoken {
    Say { text: String, times: u32 },
    Play { url: String, times: u32 },
    Pause { seconds: f64 },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gather {
    pub(crate) speech: bool,
    pub(crate) keys: bool,
    pub(crate) action: String,
    pub(crate) timeout_seconds: f64,
    /// `None` is `auto`: the first pause ends the caller's speech.
    pub(crate) speech_timeout_seconds: Option<f64>,
    pub(crate) finish_on_key: Option<char>,
    pub(crate) digits: Option<usize>,
    pub(crate) language: String,
    pub(crate) action_on_empty_result: bool,
    pub(crate) partial_url: Option<String>,
    pub(crate) prompt: Vec<Spoken>,
}

/// The reason for which an answer is not a valid document, with Twilio's error code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DocumentError {
    pub(crate) code: u32,
    pub(crate) reason: String,
}

fn document_error(code: u32, reason: impl Into<String>) -> DocumentError {
    DocumentError {
        code,
        reason: reason.into(),
    }
}

/// Parses an answer as Twilio does. (Twilio docs, *TwiML for Voice* and errors 11750, 12100, 12300.)
pub(crate) fn parse(content_type: &str, body: &[u8]) -> Result<Document, DocumentError> {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    if kind != "text/xml" && kind != "application/xml" {
        let reason = format!("content type {content_type:?} is not XML");
        return Err(document_error(12_300, reason));
    }
    if body.len() > DOCUMENT_LIMIT_BYTES {
        return Err(document_error(11_750, "the document is longer than 64 kB"));
    }
    let text = std::str::from_utf8(body).map_err(|_| document_error(12_100, "not UTF-8"))?;
    let root = xml::parse(text).map_err(|reason| document_error(12_100, reason))?;
    if root.name != "Response" {
        return Err(document_error(12_100, "the root is not Response"));
    }
    let mut warnings = Vec::new();
    let mut verbs = Vec::new();
    for child in &root.children {
        warn_of_attributes(child, &mut warnings);
        match verb(child, &mut warnings) {
            Some(verb) => verbs.push(verb),
            None => warnings.push(format!("12200: {} is not executed", child.name)),
        }
    }
    Ok(Document { verbs, warnings })
}

fn verb(element: &Element, warnings: &mut Vec<String>) -> Option<Verb> {
    if let Some(spoken) = spoken(element, warnings) {
        return Some(Verb::Spoken(spoken));
    }
    Some(match element.name.as_str() {
        "Redirect" => Verb::Redirect {
            url: element.text.trim().to_owned(),
        },
        "Hangup" => Verb::Hangup,
        "Reject" => Verb::Reject,
        "Gather" => Verb::Gather(Box::new(gather(element, warnings))),
        "Connect" => {
            let relay = element
                .children
                .iter()
                .find(|child| child.name == "ConversationRelay")?;
            warn_of_attributes(relay, warnings);
            Verb::Connect {
                action: element.attribute("action").map(str::to_owned),
                relay: relay.clone(),
            }
        }
        _ => return None,
    })
}

fn spoken(element: &Element, warnings: &mut Vec<String>) -> Option<Spoken> {
    Some(match element.name.as_str() {
        "Say" => Spoken::Say {
            text: speakable(element, warnings),
            times: times(element),
        },
        "Play" => Spoken::Play {
            url: element.text.trim().to_owned(),
            times: times(element),
        },
        "Pause" => Spoken::Pause {
            seconds: element.number("length").unwrap_or(1.0).max(0.0),
        },
        _ => return None,
    })
}

/// The text of a Say; empty if it is longer than its voice allows. (Error 13521.)
fn speakable(element: &Element, warnings: &mut Vec<String>) -> String {
    let text = element.text.trim();
    let limit = match element.attribute("voice") {
        Some(voice) if voice.starts_with("Polly.") => 3_000,
        Some(voice) if voice.starts_with("Google.") => 5_000,
        _ => 4_096,
    };
    if text.chars().count() > limit {
        warnings.push(format!("13521: a Say is longer than {limit} characters"));
        return String::new();
    }
    text.to_owned()
}

/// How many times `loop` repeats the verb; 0 repeats until the caller hangs up.
fn times(element: &Element) -> u32 {
    match element.attribute("loop").map(str::parse) {
        Some(Ok(0)) => u32::MAX,
        Some(Ok(times)) => times,
        _ => 1,
    }
}

fn gather(element: &Element, warnings: &mut Vec<String>) -> Gather {
    let input = element.attribute("input").unwrap_or("dtmf");
    let takes = |kind| input.split_whitespace().any(|word| word == kind);
    let timeout_seconds = element.number("timeout").unwrap_or(5.0);
    let mut prompt = Vec::new();
    for child in &element.children {
        warn_of_attributes(child, warnings);
        match spoken(child, warnings) {
            Some(spoken) => prompt.push(spoken),
            None => warnings.push(format!("12200: {} is not allowed in Gather", child.name)),
        }
    }
    Gather {
        speech: takes("speech"),
        keys: takes("dtmf"),
        action: element.attribute("action").unwrap_or_default().to_owned(),
        timeout_seconds,
        speech_timeout_seconds: match element.attribute("speechTimeout") {
            Some("auto") => None,
            Some(seconds) => seconds.parse().ok(),
            None => Some(timeout_seconds),
        },
        finish_on_key: element
            .attribute("finishOnKey")
            .unwrap_or("#")
            .chars()
            .next(),
        digits: element.attribute("numDigits").and_then(|n| n.parse().ok()),
        language: element.attribute("language").unwrap_or("en-US").to_owned(),
        action_on_empty_result: element.attribute("actionOnEmptyResult") == Some("true"),
        partial_url: element
            .attribute("partialResultCallback")
            .map(str::to_owned),
        prompt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gather_has_the_documented_defaults() {
        let document = parse("text/xml", b"<Response><Gather/></Response>").unwrap();

        let Verb::Gather(gather) = &document.verbs[0] else {
            panic!("{document:?}");
        };
        assert!(gather.keys && !gather.speech && !gather.action_on_empty_result);
        assert_eq!(gather.finish_on_key, Some('#'));
        assert!((gather.timeout_seconds - 5.0).abs() < 0.001);
        assert_eq!(gather.action, "");
    }

    #[test]
    fn unknown_verbs_and_attributes_are_ignored_with_a_warning() {
        let body = b"<Response><Sing>la</Sing><Say tone='x'>hi</Say></Response>";
        let document = parse("application/xml; charset=utf-8", body).unwrap();

        assert_eq!(document.verbs.len(), 1);
        assert_eq!(
            document.warnings,
            [
                "12200: Sing is not executed",
                "12200: Say has no attribute tone"
            ]
        );
    }

    #[test]
    fn every_kind_of_invalid_answer_has_its_error_code() {
        let code = |kind, body: &[u8]| parse(kind, body).unwrap_err().code;
        let long = format!("<Response><Say>{}</Say></Response>", "a".repeat(65_536));

        assert_eq!(code("application/json", b"{}"), 12_300);
        assert_eq!(code("", b"<Response/>"), 12_300);
        assert_eq!(code("text/xml", long.as_bytes()), 11_750);
        assert_eq!(code("text/xml", b"\n<Response/>"), 12_100);
        assert_eq!(
            code("text/xml", b"<Response><Say>\xff</Say></Response>"),
            12_100
        );
        assert_eq!(code("text/xml", b"<Answer/>"), 12_100);
    }

    #[test]
    fn a_text_too_long_for_its_voice_is_not_spoken() {
        let body = format!(
            "<Response><Say voice='Polly.Vicki'>{0}</Say><Say>{0}</Say></Response>",
            "a".repeat(3_001)
        );
        let document = parse("text/xml", body.as_bytes()).unwrap();

        assert_eq!(
            document.warnings,
            ["13521: a Say is longer than 3000 characters"]
        );
        let texts: Vec<usize> = document
            .verbs
            .iter()
            .filter_map(|verb| match verb {
                Verb::Spoken(Spoken::Say { text, .. }) => Some(text.len()),
                Verb::Spoken(_)
                | Verb::Redirect { .. }
                | Verb::Hangup
                | Verb::Reject
                | Verb::Gather(_)
                | Verb::Connect { .. } => None,
            })
            .collect();
        assert_eq!(texts, [0, 3_001]);
    }
}
