use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A Graph API error. `code` classifies it; the HTTP status follows Meta's table, in which rate limits
/// are 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GraphError {
    pub(crate) code: i64,
    status: u16,
    message: String,
    details: Option<String>,
}

impl GraphError {
    /// The error with this code, with Meta's texts if the code is in `KNOWN`.
    pub(crate) fn of_code(code: i64) -> Self {
        let (status, message, details) = known(code);
        Self {
            code,
            status,
            message: format!("(#{code}) {message}"),
            details: Some(details.to_owned()),
        }
    }

    /// The bearer token is missing or wrong.
    pub(crate) fn token() -> Self {
        Self {
            code: 190,
            status: 401,
            message: "Invalid OAuth access token - Cannot parse access token".to_owned(),
            details: None,
        }
    }

    /// The object with this id does not exist.
    pub(crate) fn no_such_object(id: &str) -> Self {
        Self {
            code: 100,
            status: 400,
            message: format!(
                "Unsupported post request. Object with ID '{id}' does not exist, cannot be loaded \
                 due to missing permissions, or does not support this operation"
            ),
            details: None,
        }
    }

    /// A parameter has an invalid value (code 100).
    pub(crate) fn invalid(details: impl Into<String>) -> Self {
        Self::of_code(100).with_details(details)
    }

    /// A required parameter is missing (code 131008).
    pub(crate) fn missing(parameter: &str) -> Self {
        Self::of_code(131_008).with_details(format!("Required parameter is missing: {parameter}"))
    }

    /// A parameter is present but malformed (code 131009).
    pub(crate) fn malformed(details: impl Into<String>) -> Self {
        Self::of_code(131_009).with_details(details)
    }

    pub(crate) fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }
}

/// Codes with their HTTP status, title and details: those on Meta's error page that a send can get.
const KNOWN: [(i64, u16, &str, &str); 27] = [
    (
        1,
        400,
        "API Unknown",
        "Invalid request or possible server error.",
    ),
    (
        2,
        503,
        "API Service",
        "Temporary due to downtime or due to being overloaded.",
    ),
    (
        4,
        400,
        "API Too Many Calls",
        "The app has reached its API call rate limit.",
    ),
    (
        10,
        403,
        "API Permission Denied",
        "Permission is either not granted or removed.",
    ),
    (100, 400, "Invalid parameter", "Invalid parameter"),
    (
        368,
        403,
        "Temporarily blocked for policies violations",
        "Policy violation.",
    ),
    (
        80_007,
        400,
        "Rate limit issues",
        "The WhatsApp Business Account reached its limit.",
    ),
    (
        130_429,
        400,
        "Rate limit hit",
        "Cloud API message throughput has been reached.",
    ),
    (
        131_000,
        500,
        "Something went wrong",
        "Message failed due to an unknown error.",
    ),
    (
        131_005,
        403,
        "Access denied",
        "Permission is either not granted or removed.",
    ),
    (
        131_008,
        400,
        "Required parameter is missing",
        "Required parameter is missing",
    ),
    (
        131_009,
        400,
        "Parameter value is not valid",
        "Parameter value is not valid",
    ),
    (
        131_016,
        500,
        "Service unavailable",
        "A service is temporarily unavailable.",
    ),
    (
        131_021,
        400,
        "Recipient cannot be sender",
        "Recipient and sender are the same.",
    ),
    (
        131_026,
        400,
        "Message undeliverable",
        "Message Undeliverable.",
    ),
    (
        131_031,
        403,
        "Business Account locked",
        "The account was restricted or disabled.",
    ),
    (
        131_047,
        400,
        "Re-engagement message",
        "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
    ),
    (
        131_048,
        400,
        "Spam rate limit hit",
        "Too many messages were blocked or flagged.",
    ),
    (
        131_051,
        400,
        "Unsupported message type",
        "Unsupported message type.",
    ),
    (
        131_056,
        400,
        "(Business Account, Consumer Account) pair rate limit hit",
        "Too many messages sent from the sender phone number to the same recipient phone number in a short period of time.",
    ),
    (
        131_057,
        500,
        "Account in maintenance mode",
        "Business Account is in maintenance.",
    ),
    (
        132_000,
        400,
        "Number of parameters does not match the expected number of params",
        "The number of variable parameter values did not match the number of the template's.",
    ),
    (
        132_001,
        404,
        "Template name does not exist in the translation",
        "The template does not exist in the language or has not been approved.",
    ),
    (
        132_005,
        400,
        "Translated text too long",
        "The translated text is too long.",
    ),
    (
        132_012,
        400,
        "Parameter format does not match format in the created template",
        "Variable parameter values formatted incorrectly.",
    ),
    (
        132_018,
        400,
        "There's an issue with the parameters in your template",
        "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
    ),
    (
        133_004,
        503,
        "Server Temporarily Unavailable",
        "Server is temporarily unavailable.",
    ),
];

fn known(code: i64) -> (u16, &'static str, &'static str) {
    KNOWN
        .iter()
        .find(|known| known.0 == code)
        .map_or((400, "Error", "Error"), |known| (known.1, known.2, known.3))
}

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    code: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_data: Option<ErrorData<'a>>,
    fbtrace_id: &'static str,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    messaging_product: &'static str,
    details: &'a str,
}

impl IntoResponse for GraphError {
    fn into_response(self) -> Response {
        let body = axum::Json(Body {
            error: Inner {
                message: &self.message,
                kind: "OAuthException",
                code: self.code,
                error_data: self.details.as_deref().map(|details| ErrorData {
                    messaging_product: "whatsapp",
                    details,
                }),
                fbtrace_id: "AsimulatedTraceIdOfMeta",
            },
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, body).into_response();
        if self.code == 4 || self.code == 80_007 {
            let seconds = axum::http::HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}
