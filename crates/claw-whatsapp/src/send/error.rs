use std::fmt;

use claw_domain::Sensitive;
use strum::IntoStaticStr;

use super::ErrorClass;

/// The underlying error: of the connection, a timeout, or an unreadable answer.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a send was not confirmed, by the reaction it calls for.
#[derive(Debug, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SendError {
    /// A temporary failure at Meta. Nothing went out: retry.
    #[error("WhatsApp asks for a retry: {0}")]
    Retry(Refusal),
    /// A temporary failure, or a request that Meta never accepts: retry a few times, then give up.
    #[error("WhatsApp failed to process the message: {0}")]
    RetryFewTimes(Refusal),
    /// The number is over its rate limit: pause all sends.
    #[error("WhatsApp throttles the whole number: {0}")]
    SlowDown(Refusal),
    /// The number is over its rate limit for this recipient: delay only messages to them.
    #[error("WhatsApp throttles messages to this recipient: {0}")]
    PairRate(Refusal),
    /// The operator has to change something with Meta first.
    #[error("WhatsApp refuses until the operator acts: {0}")]
    Operator(Refusal),
    /// Only a template is accepted.
    #[error("WhatsApp accepts only a template: {0}")]
    NeedsTemplate(Refusal),
    /// The message will never be accepted.
    #[error("WhatsApp refuses: {0}")]
    Permanent(Refusal),
    /// The outcome is unknown: Meta may have accepted the request, and there is no answer. Wait for a status with our
    /// id before sending again.
    #[error("it is unknown whether WhatsApp accepted the message")]
    Unknown(#[source] Cause),
    /// The request was not sent: nothing went out.
    #[error("WhatsApp could not be reached")]
    NotSent(#[source] Cause),
}

impl SendError {
    /// The error for a refusal, by its code, or by its HTTP status if there is no code.
    pub fn refused(refusal: Refusal) -> Self {
        match refusal.class() {
            Some(ErrorClass::Retry) => Self::Retry(refusal),
            Some(ErrorClass::RetryFewTimes) => Self::RetryFewTimes(refusal),
            Some(ErrorClass::SlowDown) => Self::SlowDown(refusal),
            Some(ErrorClass::PairRate) => Self::PairRate(refusal),
            Some(ErrorClass::Operator) => Self::Operator(refusal),
            Some(ErrorClass::NeedsTemplate) => Self::NeedsTemplate(refusal),
            Some(ErrorClass::Permanent) => Self::Permanent(refusal),
            None => Self::Unknown(Box::new(refusal)),
        }
    }

    /// Meta's error code, if it gave one.
    pub fn code(&self) -> Option<i64> {
        self.refusal()?.code
    }

    /// Meta's refusal, if there was an answer.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Retry(refusal)
            | Self::RetryFewTimes(refusal)
            | Self::SlowDown(refusal)
            | Self::PairRate(refusal)
            | Self::Operator(refusal)
            | Self::NeedsTemplate(refusal)
            | Self::Permanent(refusal) => Some(refusal),
            Self::Unknown(_) | Self::NotSent(_) => None,
        }
    }

    /// The name used in metrics.
    pub fn as_str(&self) -> &'static str {
        self.into()
    }
}

/// Meta's answer when it does not accept a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The HTTP status. It says little: rate limits come as 400.
    pub http_status: u16,
    /// Meta's error code; absent if the answer did not come from Meta's API itself.
    pub code: Option<i64>,
    /// Meta's description of the code.
    pub message: Option<String>,
    /// Meta's description of this case, or the beginning of an unreadable answer.
    pub details: Option<Sensitive<String>>,
    /// Meta's id of the request, which Meta's support asks for.
    pub trace: Option<String>,
}

impl Refusal {
    /// A refusal with this code and nothing else.
    pub fn with_code(code: i64) -> Self {
        Self {
            http_status: 400,
            code: Some(code),
            message: None,
            details: None,
            trace: None,
        }
    }

    /// Whether the refused template or its parameter is invalid.
    pub fn concerns_the_template(&self) -> bool {
        self.code.is_some_and(ErrorClass::concerns_the_template)
    }

    /// The class of the error; `None` if it is unknown whether the message was accepted, as after an error page of
    /// a proxy or load balancer.
    fn class(&self) -> Option<ErrorClass> {
        match (self.code, self.http_status) {
            (Some(code), _) => Some(ErrorClass::of(code, &self.text())),
            (None, 429) => Some(ErrorClass::SlowDown),
            (None, 300..=399 | 401 | 403 | 404) => Some(ErrorClass::Operator),
            (None, 400..=499) => Some(ErrorClass::Permanent),
            (None, _) => None,
        }
    }

    fn text(&self) -> String {
        let details = self
            .details
            .as_ref()
            .map(|details| details.expose().as_str());
        let message = self.message.as_deref();
        format!(
            "{} {}",
            message.unwrap_or_default(),
            details.unwrap_or_default()
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "code {code}")?,
            None => write!(f, "HTTP {}", self.http_status)?,
        }
        if let Some(message) = &self.message {
            write!(f, ", {message}")?;
        }
        match &self.trace {
            Some(trace) => write!(f, ", trace {trace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_code(http_status: u16) -> SendError {
        SendError::refused(Refusal {
            http_status,
            code: None,
            ..Refusal::with_code(0)
        })
    }

    #[test]
    fn the_code_decides_regardless_of_the_http_status() {
        let refusal = |http_status| Refusal {
            http_status,
            ..Refusal::with_code(131_056)
        };

        for status in [200, 400, 401, 500] {
            let error = SendError::refused(refusal(status));
            assert!(matches!(error, SendError::PairRate(_)), "{status}");
        }
    }

    #[test]
    fn without_a_code_a_server_error_leaves_the_outcome_unknown() {
        assert!(matches!(without_code(502), SendError::Unknown(_)));
        assert!(matches!(without_code(504), SendError::Unknown(_)));
        assert!(matches!(without_code(429), SendError::SlowDown(_)));
        assert!(matches!(without_code(401), SendError::Operator(_)));
        assert!(matches!(without_code(413), SendError::Permanent(_)));
    }

    #[test]
    fn an_error_shows_code_message_and_trace_but_not_the_details() {
        let error = SendError::refused(Refusal {
            message: Some("(#131026) Message undeliverable".into()),
            details: Some("+15551234567 is not on WhatsApp".into()),
            trace: Some("Az8".into()),
            ..Refusal::with_code(131_026)
        });

        assert_eq!(
            error.to_string(),
            "WhatsApp refuses: code 131026, (#131026) Message undeliverable, trace Az8"
        );
        assert!(!format!("{error:?}").contains("1555"));
    }
}
