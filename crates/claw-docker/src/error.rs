use bollard::errors::Error as EngineError;
use secrecy::{ExposeSecret, SecretString};

/// The engine's words in an error are kept up to this length.
const MESSAGE_LIMIT_CHARS: usize = 300;

/// Why the engine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No answer. The call may have had its effect.
    #[error("{operation}: the container engine does not answer")]
    EngineAway {
        /// What was tried.
        operation: &'static str,
        /// Why there was no answer.
        #[source]
        source: EngineError,
    },
    /// The image is not on this host. Nothing is ever pulled on a person's behalf.
    #[error("the image {image} is not on this host")]
    ImageMissing {
        /// The image.
        image: String,
    },
    /// Something else on this host listens on the port.
    #[error("port {port} is taken by something else on this host")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// A container of the name we derived exists, and is not the sandbox's.
    #[error("a container named {name} exists and is not ours")]
    NotOurs {
        /// Its name.
        name: String,
    },
    /// The engine answered with a failure.
    #[error("{operation}: the container engine refused (status {status}): {message}")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// The engine's words, cut short and without our secrets.
        message: String,
    },
    /// The engine answered with something we cannot read. The source is left out on purpose: it may
    /// quote a container's environment.
    #[error("{operation}: an answer of the container engine that cannot be read")]
    Unreadable {
        /// What was tried.
        operation: &'static str,
    },
}

impl RuntimeError {
    /// Whether the same call may work later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::EngineAway { .. } => true,
            // 409: a container of the name is just being removed.
            Self::Refused { status, .. } => *status == 409 || *status >= 500,
            Self::ImageMissing { .. }
            | Self::PortTaken { .. }
            | Self::NotOurs { .. }
            | Self::Unreadable { .. } => false,
        }
    }

    /// Wraps the engine's error, keeping `secrets` out of it.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "bollard's errors differ by its features"
    )]
    pub(crate) fn of(
        operation: &'static str,
        error: EngineError,
        secrets: &[&SecretString],
    ) -> Self {
        match error {
            EngineError::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refused {
                operation,
                status: status_code,
                message: without(secrets, message),
            },
            EngineError::JsonDataError { .. }
            | EngineError::JsonSerdeError { .. }
            | EngineError::StrParseError { .. } => Self::Unreadable { operation },
            source => Self::EngineAway { operation, source },
        }
    }

    pub(crate) fn is_status(&self, expected: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == expected)
    }
}

fn without(secrets: &[&SecretString], message: String) -> String {
    let hidden = secrets
        .iter()
        .map(|secret| secret.expose_secret())
        .filter(|secret| !secret.is_empty())
        .fold(message, |message, secret| message.replace(secret, "…"));
    hidden.chars().take(MESSAGE_LIMIT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_are_kept_without_our_secrets_and_cut_short() {
        let secret = SecretString::from("s3cret-token");
        let message = format!(
            "invalid environment variable: TOKEN=s3cret-token {}",
            "x".repeat(500)
        );
        let error = EngineError::DockerResponseServerError {
            status_code: 400,
            message,
        };

        let error = RuntimeError::of("making a container", error, &[&secret]);

        let text = error.to_string();
        assert!(
            text.contains("TOKEN=… x") && !text.contains("s3cret"),
            "{text}"
        );
        assert!(text.len() < 400, "{}", text.len());
        assert!(!error.is_transient());
    }

    #[test]
    fn trouble_of_the_engine_is_worth_another_try() {
        let trouble = EngineError::DockerResponseServerError {
            status_code: 500,
            message: String::new(),
        };

        assert!(RuntimeError::of("x", trouble, &[]).is_transient());
        assert!(RuntimeError::of("x", EngineError::RequestTimeoutError, &[]).is_transient());
        assert!(!RuntimeError::PortTaken { port: 1 }.is_transient());
    }
}
