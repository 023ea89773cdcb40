use serde::Serialize;

/// A request as text. Parameters are plain structs of strings and numbers, which always encode.
pub(crate) fn encode<P: Serialize>(id: &str, method: &str, params: &P) -> String {
    let request = Request {
        kind: "req",
        id,
        method,
        params,
    };
    serde_json::to_string(&request).expect("a request of strings and numbers encodes")
}

#[derive(Serialize)]
struct Request<'a, P> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    method: &'a str,
    params: &'a P,
}

/// `connect`: must be the first request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connect<'a> {
    pub(crate) min_protocol: u32,
    pub(crate) max_protocol: u32,
    pub(crate) client: Client<'a>,
    pub(crate) role: &'a str,
    pub(crate) scopes: &'a [&'a str],
    pub(crate) auth: Auth<'a>,
    pub(crate) device: Device<'a>,
}

#[derive(Serialize)]
pub(crate) struct Client<'a> {
    pub(crate) id: &'a str,
    pub(crate) version: &'a str,
    pub(crate) platform: &'a str,
    pub(crate) mode: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Auth<'a> {
    pub(crate) token: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device<'a> {
    pub(crate) id: String,
    pub(crate) public_key: String,
    pub(crate) signature: String,
    pub(crate) signed_at: u64,
    pub(crate) nonce: &'a str,
}

/// `chat.send`. Never with `originatingChannel`: the gateway would then say nothing at all.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatSendParams<'a> {
    pub(crate) session_key: &'a str,
    pub(crate) message: &'a str,
    pub(crate) idempotency_key: &'a str,
    /// `followup`: the only mode in which an overlapping turn keeps its own answer.
    pub(crate) queue_mode: &'a str,
    /// People's text is never a command to the gateway.
    pub(crate) suppress_command_interpretation: bool,
    pub(crate) timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_provenance_receipt: Option<&'a str>,
}

/// `chat.history`, the newest rows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryPage<'a> {
    pub(crate) session_key: &'a str,
    pub(crate) limit: u32,
    pub(crate) max_chars: u32,
    pub(crate) max_bytes: u32,
}

/// `chat.history`, what was appended since.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryDelta<'a> {
    pub(crate) session_key: &'a str,
    pub(crate) cursor: &'a str,
}

/// `agent.wait`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wait<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) timeout_ms: u64,
}

/// `chat.abort`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Abort<'a> {
    pub(crate) session_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<&'a str>,
}

/// Methods without parameters still want an object.
#[derive(Serialize)]
pub(crate) struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_sent_as_text_and_never_as_a_command() {
        let request = encode(
            "3",
            "chat.send",
            &ChatSendParams {
                session_key: "agent:main:main",
                message: "/config set x",
                idempotency_key: "msg_1",
                queue_mode: "followup",
                suppress_command_interpretation: true,
                timeout_ms: 120_000,
                system_provenance_receipt: None,
            },
        );

        insta::assert_snapshot!(request, @r#"{"type":"req","id":"3","method":"chat.send","params":{"sessionKey":"agent:main:main","message":"/config set x","idempotencyKey":"msg_1","queueMode":"followup","suppressCommandInterpretation":true,"timeoutMs":120000}}"#);
    }

    #[test]
    fn a_page_asks_for_whole_texts() {
        let request = encode(
            "4",
            "chat.history",
            &HistoryPage {
                session_key: "agent:main:main",
                limit: 50,
                max_chars: 500_000,
                max_bytes: 4_194_304,
            },
        );

        insta::assert_snapshot!(request, @r#"{"type":"req","id":"4","method":"chat.history","params":{"sessionKey":"agent:main:main","limit":50,"maxChars":500000,"maxBytes":4194304}}"#);
    }
}
