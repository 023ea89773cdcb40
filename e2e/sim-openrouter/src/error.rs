use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An error of OpenRouter's API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    message: String,
}

impl ApiError {
    pub(crate) fn new(code: u16, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The error with this HTTP status, in the documented words.
    pub(crate) fn of_code(code: u16) -> Self {
        let message = match code {
            400 => "Invalid request parameters",
            401 => "Missing Authentication header",
            402 => "Insufficient credits. Add more using https://openrouter.ai/credits",
            403 => "Only management keys can perform this operation",
            404 => "Resource not found",
            408 => "Operation timed out. Please try again later.",
            413 => "Request payload too large",
            422 => "Invalid argument",
            429 => "Rate limit exceeded",
            500 => "Internal Server Error",
            503 => "Service temporarily unavailable",
            524 => "Request timed out. Please try again later.",
            _ => "Provider returned error",
        };
        Self::new(code, message)
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = (status, Json(self.body())).into_response();
        if self.code == 429 || self.code == 503 {
            let seconds = axum::http::HeaderValue::from_static("1");
            response
                .headers_mut()
                .insert(axum::http::header::RETRY_AFTER, seconds);
        }
        response
    }
}
