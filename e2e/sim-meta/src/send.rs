use serde_json::Value;

use super::{SimTemplate, error::GraphError, templates};

/// Longest text Meta accepts in one message, in characters.
const TEXT_LIMIT_CHARS: usize = 4096;

/// Longest tracker (`biz_opaque_callback_data`) Meta accepts, in characters.
const TRACKER_LIMIT_CHARS: usize = 512;

/// Message types that the Cloud API accepts.
const KINDS: [&str; 12] = [
    "text",
    "template",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "reaction",
    "typing_indicator",
];

/// A valid request to the messages endpoint.
pub(crate) enum GraphRequest {
    /// Marks the messages up to this one as read, and may show a typing indicator.
    MarkRead {
        wamid: String,
        typing: bool,
    },
    Send(Message),
}

/// A message to send.
pub(crate) struct Message {
    /// `to` as given; the response repeats it.
    pub(crate) input: String,
    /// The number's digits, or the business-scoped id.
    pub(crate) to: String,
    pub(crate) is_to_user_id: bool,
    pub(crate) is_template: bool,
    /// The text, the rendered template, or `<type>` for anything else.
    pub(crate) text: String,
    pub(crate) tracker: Option<String>,
}

/// Parses a request body. Every error has the code that Meta returns for it.
pub(crate) fn parse(body: &[u8], approved: &[SimTemplate]) -> Result<GraphRequest, GraphError> {
    let mut request: Value = serde_json::from_slice(body)
        .map_err(|_| GraphError::invalid("The request body is not valid JSON"))?;
    if request["messaging_product"] != "whatsapp" {
        return Err(GraphError::invalid(
            "The parameter messaging_product is required.",
        ));
    }
    if let Some(status) = request.get("status") {
        return mark_read(status, &request);
    }
    let (input, to, is_to_user_id) = recipient(&request)?;
    let kind = kind_of(&request)?.to_owned();
    if !request[&kind].is_object() && !request[&kind].is_array() {
        return Err(GraphError::missing(&kind));
    }
    let text = match kind.as_str() {
        "text" => text_of(&mut request)?,
        "template" => templates::render(&request["template"], approved)?,
        _ => format!("<{kind}>"),
    };
    Ok(GraphRequest::Send(Message {
        input,
        to,
        is_to_user_id,
        is_template: kind == "template",
        text,
        tracker: tracker_of(&mut request)?,
    }))
}

fn kind_of(request: &Value) -> Result<&str, GraphError> {
    let kind = &request["type"];
    if kind.is_null() {
        return Ok("text");
    }
    kind.as_str()
        .filter(|kind| KINDS.contains(kind))
        .ok_or_else(|| GraphError::malformed(format!("type must be one of {KINDS:?}, not {kind}")))
}

fn mark_read(status: &Value, request: &Value) -> Result<GraphRequest, GraphError> {
    if status != "read" {
        return Err(GraphError::malformed("status must be read"));
    }
    let wamid = request["message_id"]
        .as_str()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| GraphError::missing("message_id"))?;
    let typing = match request.get("typing_indicator") {
        None => false,
        Some(indicator) if indicator["type"] == "text" => true,
        Some(_) => return Err(GraphError::malformed("typing_indicator.type must be text")),
    };
    Ok(GraphRequest::MarkRead {
        wamid: wamid.to_owned(),
        typing,
    })
}

/// The recipient as given, the recipient as the key of a chat, and whether that is a user id. `to` takes
/// precedence over `recipient`, as at Meta.
fn recipient(request: &Value) -> Result<(String, String, bool), GraphError> {
    if let Some(to) = request["to"].as_str() {
        let digits: String = to.chars().filter(char::is_ascii_digit).collect();
        let has_other = to
            .chars()
            .any(|c| !c.is_ascii_digit() && !"+ -()".contains(c));
        if has_other || !(6..=15).contains(&digits.len()) {
            return Err(GraphError::malformed("to is not a valid phone number"));
        }
        return Ok((to.to_owned(), digits, false));
    }
    let id = request["recipient"]
        .as_str()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| GraphError::missing("to"))?;
    Ok((id.to_owned(), id.to_owned(), true))
}

fn text_of(request: &mut Value) -> Result<String, GraphError> {
    let Value::String(text) = request["text"]["body"].take() else {
        return Err(GraphError::missing("text.body"));
    };
    if text.is_empty() {
        return Err(GraphError::missing("text.body"));
    }
    if text.chars().count() > TEXT_LIMIT_CHARS {
        return Err(GraphError::invalid(format!(
            "Param text['body'] must be at most {TEXT_LIMIT_CHARS} characters long."
        )));
    }
    Ok(text)
}

fn tracker_of(request: &mut Value) -> Result<Option<String>, GraphError> {
    let Some(tracker) = request.get_mut("biz_opaque_callback_data") else {
        return Ok(None);
    };
    if let Value::String(tracker) = tracker.take()
        && tracker.chars().count() <= TRACKER_LIMIT_CHARS
    {
        return Ok(Some(tracker));
    }
    Err(GraphError::malformed(
        "biz_opaque_callback_data must be a string of at most 512 characters",
    ))
}
