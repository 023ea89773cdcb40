use std::sync::atomic::{AtomicI64, Ordering};

use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use claw_bus::PublishError;
use tracing::warn;

/// What we ask Meta to wait after a 503. It has its own schedule; others may listen.
const RETRY_AFTER_SECONDS: &str = "5";

/// Refusals are counted one by one and logged once in this many seconds, for anyone can cause them.
const LOG_EVERY_SECONDS: i64 = 60;

/// Why a webhook gets no 200.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not shown to come from Meta.
    Unsigned,
    TooLarge,
    /// The body did not arrive whole, or not in time.
    Incomplete,
    /// Too much is under way already.
    Full,
    /// The bus did not take all of it.
    NotStored(PublishError),
}

impl Refusal {
    /// For metrics and logs.
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

/// Tells the operator of refusals, now and then.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    /// Unix seconds of the last one that was logged.
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
                "a webhook was refused: {} (the next minute's refusals are only counted)",
                refusal.name(),
            );
        }
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let now = now.timestamp();
        let last = self.logged_at.load(Ordering::Relaxed);
        let is_due = now - last >= LOG_EVERY_SECONDS;
        // Of several at once, one wins.
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
    fn whoever_is_to_come_back_is_told_when() {
        let response = Refusal::Full.into_response();

        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], RETRY_AFTER_SECONDS);
    }
}
