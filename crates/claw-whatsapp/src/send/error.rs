use std::fmt;

use claw_domain::Sensitive;

use super::Class;

/// What broke underneath: the connection, the timeout, the reading of an answer.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a send was not confirmed, by what has to happen next.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Passing trouble on their side. Nothing went out: try again.
    #[error("WhatsApp asks to try again: {0}")]
    Retry(Refusal),
    /// Passing trouble, or a request they never take: try a few times, then give up.
    #[error("WhatsApp failed at it: {0}")]
    RetryFewTimes(Refusal),
    /// The number sends too much: everyone pauses.
    #[error("WhatsApp asks the whole number to slow down: {0}")]
    SlowDown(Refusal),
    /// This person is sent too much: only they wait.
    #[error("WhatsApp asks to slow down for this person: {0}")]
    PairRate(Refusal),
    /// Somebody has to change something with Meta first.
    #[error("WhatsApp wants the operator: {0}")]
    Operator(Refusal),
    /// Only a template would pass.
    #[error("WhatsApp takes only a template: {0}")]
    NeedsTemplate(Refusal),
    /// It will never pass.
    #[error("WhatsApp refuses: {0}")]
    Permanent(Refusal),
    /// The request may have been written and taken; no answer tells. Wait for a status with our id
    /// before sending again.
    #[error("WhatsApp may or may not have taken it")]
    Unknown(#[source] Cause),
    /// The request was not written: nothing went out.
    #[error("WhatsApp could not be reached")]
    NotSent(#[source] Cause),
}

impl SendError {
    /// The error for a refusal, by its code; by the HTTP status only where there is no code.
    pub fn refused(refusal: Refusal) -> Self {
        match refusal.class() {
            Some(Class::Retry) => Self::Retry(refusal),
            Some(Class::RetryFewTimes) => Self::RetryFewTimes(refusal),
            Some(Class::SlowDown) => Self::SlowDown(refusal),
            Some(Class::PairRate) => Self::PairRate(refusal),
            Some(Class::Operator) => Self::Operator(refusal),
            Some(Class::NeedsTemplate) => Self::NeedsTemplate(refusal),
            Some(Class::Permanent) => Self::Permanent(refusal),
            None => Self::Unknown(Box::new(refusal)),
        }
    }

    /// Meta's code, if it gave one.
    pub fn code(&self) -> Option<i64> {
        self.refusal()?.code
    }

    /// What Meta said, if it said anything.
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
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Retry(_) => Class::Retry.as_str(),
            Self::RetryFewTimes(_) => Class::RetryFewTimes.as_str(),
            Self::SlowDown(_) => Class::SlowDown.as_str(),
            Self::PairRate(_) => Class::PairRate.as_str(),
            Self::Operator(_) => Class::Operator.as_str(),
            Self::NeedsTemplate(_) => Class::NeedsTemplate.as_str(),
            Self::Permanent(_) => Class::Permanent.as_str(),
            Self::Unknown(_) => "unknown",
            Self::NotSent(_) => "not_sent",
        }
    }
}

/// What Meta answered in place of taking the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The HTTP status. Says little: rate limits come as 400.
    pub http_status: u16,
    /// Meta's code, absent when the answer did not come from Meta's API itself.
    pub code: Option<i64>,
    /// Meta's words for the code.
    pub message: Option<String>,
    /// Meta's words for this case, or the beginning of an answer we cannot read.
    pub details: Option<Sensitive<String>>,
    /// Meta's id of the request, to quote to their support.
    pub trace: Option<String>,
}

impl Refusal {
    /// A refusal with this code and nothing else to say.
    pub fn with_code(code: i64) -> Self {
        Self {
            http_status: 400,
            code: Some(code),
            message: None,
            details: None,
            trace: None,
        }
    }

    /// Whether something is wrong with the template it refuses.
    pub fn concerns_the_template(&self) -> bool {
        self.code.is_some_and(Class::concerns_the_template)
    }

    /// What it asks of us; `None` when it leaves open whether the message was taken: a proxy's or
    /// balancer's error page is no answer.
    fn class(&self) -> Option<Class> {
        match (self.code, self.http_status) {
            (Some(code), _) => Some(Class::of(code, &self.words())),
            (None, 429) => Some(Class::SlowDown),
            (None, 300..=399 | 401 | 403 | 404) => Some(Class::Operator),
            (None, 400..=499) => Some(Class::Permanent),
            (None, _) => None,
        }
    }

    fn words(&self) -> String {
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
        match &self.message {
            Some(message) => write!(f, ", {message}"),
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
    fn the_code_decides_whatever_the_http_status_says() {
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
    fn without_a_code_a_servers_failure_leaves_the_outcome_open() {
        assert!(matches!(without_code(502), SendError::Unknown(_)));
        assert!(matches!(without_code(504), SendError::Unknown(_)));
        assert!(matches!(without_code(429), SendError::SlowDown(_)));
        assert!(matches!(without_code(401), SendError::Operator(_)));
        assert!(matches!(without_code(413), SendError::Permanent(_)));
    }

    #[test]
    fn an_error_names_code_and_meaning_but_not_the_details() {
        let error = SendError::refused(Refusal {
            message: Some("(#131026) Message undeliverable".into()),
            details: Some("+15551234567 is not on WhatsApp".into()),
            ..Refusal::with_code(131_026)
        });

        assert_eq!(
            error.to_string(),
            "WhatsApp refuses: code 131026, (#131026) Message undeliverable"
        );
        assert!(!format!("{error:?}").contains("1555"));
    }
}
