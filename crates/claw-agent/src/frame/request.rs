use serde::Serialize;

/// Encodes a request. The parameters are plain structs of strings and numbers, so this cannot fail.
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

/// `connect`, which must be the first request.
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

/// `chat.send`. Never with `originatingChannel`: OpenClaw would then send no events for the run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatSendParams<'a> {
    pub(crate) session_key: &'a str,
    pub(crate) message: &'a str,
    pub(crate) idempotency_key: &'a str,
    /// `followup` is the only mode in which an overlapping run keeps its own answer.
    pub(crate) queue_mode: &'a str,
    /// A user's text is never a command to OpenClaw.
    pub(crate) suppress_command_interpretation: bool,
    pub(crate) timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_provenance_receipt: Option<&'a str>,
}

/// `chat.history` for the newest rows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryPage<'a> {
    pub(crate) session_key: &'a str,
    pub(crate) limit: u32,
    pub(crate) max_chars: u32,
    pub(crate) max_bytes: u32,
}

/// `chat.history` for the rows appended since a cursor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryDelta<'a> {
    pub(crate) session_key: &'a str,
    pub(crate) cursor: &'a str,
}

/// `chat.abort` for one run, or for every run of the session if `run_id` is `None`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Abort<'a> {
    pub(crate) session_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<&'a str>,
}

/// `cron.list`. Without more parameters, OpenClaw lists the enabled jobs, the next one to run first.
#[derive(Serialize)]
pub(crate) struct ListJobs {
    pub(crate) limit: usize,
    /// Without the jobs' texts.
    pub(crate) compact: bool,
}

/// `wake`, which begins a heartbeat with this text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wake<'a> {
    pub(crate) mode: &'a str,
    pub(crate) text: &'a str,
    pub(crate) session_key: &'a str,
}

/// The empty object that methods without parameters require.
#[derive(Serialize)]
pub(crate) struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_sent_as_text_that_is_never_taken_for_a_command() {
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
    fn a_page_request_asks_for_uncut_texts() {
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
