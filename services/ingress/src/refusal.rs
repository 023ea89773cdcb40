use std::sync::atomic::{AtomicI64, Ordering};

use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use claw_bus::PublishError;
use strum::{EnumCount, EnumDiscriminants, IntoStaticStr};
use tracing::warn;

/// The `Retry-After` of a refusal that may end soon. Meta has its own schedule; other senders may honor it.
const RETRY_AFTER_SECONDS: &str = "5";

/// Every refusal is counted, but of each kind at most one is logged in this many seconds: anyone can cause them.
const LOG_EVERY_SECONDS: i64 = 60;

/// Why a webhook is not answered with 200.
#[derive(Debug, EnumDiscriminants)]
#[strum_discriminants(name(Kind), derive(EnumCount, IntoStaticStr))]
#[strum_discriminants(strum(serialize_all = "snake_case", const_into_str))]
pub(crate) enum Refusal {
    /// It has no valid signature of Meta's or Twilio's.
    Unsigned,
    TooLarge,
    /// The body did not arrive whole and in time.
    Incomplete,
    /// It is signed, but lacks what every request of Twilio's has.
    Malformed,
    /// Its sender is not known, and has used up its share of memory or of requests, or was too slow while others
    /// waited.
    Busy,
    /// The memory for bodies is used up by known senders.
    Full,
    /// The bus did not store all of it.
    NotStored(PublishError),
}

impl Refusal {
    /// The reason's name in metrics and logs.
    pub(crate) fn name(&self) -> &'static str {
        Kind::from(self).into_str()
    }

    const fn source(&self) -> Option<&PublishError> {
        match self {
            Self::NotStored(error) => Some(error),
            Self::Unsigned
            | Self::TooLarge
            | Self::Incomplete
            | Self::Malformed
            | Self::Busy
            | Self::Full => None,
        }
    }

    /// The status to answer with. To Caddy, 503 is the failure of a replica, which then gets no requests for a while;
    /// so no refusal that a stranger can cause has this status.
    const fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
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
        let status = self.status();
        match self {
            Self::Busy | Self::Full | Self::NotStored(_) => {
                (status, [(RETRY_AFTER, RETRY_AFTER_SECONDS)]).into_response()
            }
            Self::Unsigned | Self::TooLarge | Self::Incomplete | Self::Malformed => {
                status.into_response()
            }
        }
    }
}

/// Logs refusals, at most one of each kind a minute. A flood of one kind hides no other.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    /// When the last one of each kind was logged, in Unix seconds.
    logged_at: [AtomicI64; Kind::COUNT],
}

impl RefusalLog {
    /// Logs the refusal of a request to `endpoint`, unless another of its kind was logged within the last minute.
    pub(crate) fn log(&self, endpoint: &'static str, refusal: &Refusal, now: DateTime<Utc>) {
        if self.is_due(refusal.into(), now) {
            let is_unsigned = matches!(refusal, Refusal::Unsigned);
            let hint = if is_unsigned && endpoint != "whatsapp" {
                "; if it is Twilio's, BASE_URL is not the address configured there"
            } else {
                ""
            };
            warn!(
                endpoint,
                reason = refusal.name(),
                error = refusal
                    .source()
                    .map(|error| error as &dyn std::error::Error),
                "refused a request: {}{hint} (such refusals of the next minute are only counted)",
                refusal.name(),
            );
        }
    }

    fn is_due(&self, kind: Kind, now: DateTime<Utc>) -> bool {
        let Some(logged_at) = self.logged_at.get(kind as usize) else {
            return true;
        };
        let now = now.timestamp();
        let last = logged_at.load(Ordering::Relaxed);
        let is_due = now - last >= LOG_EVERY_SECONDS;
        // Of several concurrent calls, one wins.
        is_due
            && logged_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_logged_once_a_minute_and_hides_no_other_kind() {
        let log = RefusalLog::default();
        let at = |second: i64| DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();

        let due: Vec<bool> = [0, 1, 59, 60, 61]
            .map(|second| log.is_due(Kind::Unsigned, at(second)))
            .into();

        assert_eq!(due, [true, false, false, true, false]);
        assert!(log.is_due(Kind::NotStored, at(61)));
    }

    #[test]
    fn a_sender_who_should_try_again_is_told_when() {
        for (refusal, status) in [(Refusal::Full, 503), (Refusal::Busy, 429)] {
            let response = refusal.into_response();

            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[RETRY_AFTER], RETRY_AFTER_SECONDS);
        }
    }
}
