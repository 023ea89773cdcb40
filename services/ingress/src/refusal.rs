use std::sync::atomic::{AtomicI64, Ordering};

use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use claw_bus::PublishError;
use tracing::warn;

/// The `Retry-After` of a 503. Meta has its own schedule; other senders may honor it.
const RETRY_AFTER_SECONDS: &str = "5";

/// Every refusal is counted, but at most one is logged in this many seconds: anyone can cause them.
const LOG_EVERY_SECONDS: i64 = 60;

/// Why a webhook is not answered with 200.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It has no valid signature of Meta's.
    Unsigned,
    TooLarge,
    /// The body did not arrive whole and in time.
    Incomplete,
    /// The memory for bodies is used up.
    Full,
    /// The bus did not store all of it.
    NotStored(PublishError),
}

impl Refusal {
    /// The reason's name in metrics and logs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
            Self::Full => "full",
            Self::NotStored(_) => "not_stored",
        }
    }

    const fn source(&self) -> Option<&PublishError> {
        match self {
            Self::NotStored(error) => Some(error),
            Self::Unsigned | Self::TooLarge | Self::Incomplete | Self::Full => None,
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Full | Self::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        Self::NotStored(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => (
                StatusCode::SERVICE_UNAVAILABLE,
                [(RETRY_AFTER, RETRY_AFTER_SECONDS)],
            )
                .into_response(),
            status => status.into_response(),
        }
    }
}

/// Logs refusals, at most one a minute.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    /// When the last one was logged, in Unix seconds.
    logged_at: AtomicI64,
}

impl RefusalLog {
    /// Logs `refusal`, unless another was logged within the last minute.
    pub(crate) fn log(&self, refusal: &Refusal, now: DateTime<Utc>) {
        if self.is_due(now) {
            warn!(
                reason = refusal.name(),
                error = refusal
                    .source()
                    .map(|error| error as &dyn std::error::Error),
                "refused a webhook: {} (refusals of the next minute are only counted)",
                refusal.name(),
            );
        }
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let now = now.timestamp();
        let last = self.logged_at.load(Ordering::Relaxed);
        let is_due = now - last >= LOG_EVERY_SECONDS;
        // Of several concurrent calls, one wins.
        is_due
            && self
                .logged_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_logged_once_a_minute() {
        let log = RefusalLog::default();
        let at = |second: i64| DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();

        let due: Vec<bool> = [0, 1, 59, 60, 61]
            .map(|second| log.is_due(at(second)))
            .into();

        assert_eq!(due, [true, false, false, true, false]);
    }

    #[test]
    fn a_sender_who_should_try_again_is_told_when() {
        let response = Refusal::Full.into_response();

        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], RETRY_AFTER_SECONDS);
    }
}
