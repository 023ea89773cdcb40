use bollard::errors::Error as EngineError;
use secrecy::{ExposeSecret, SecretString};

/// The longest part of the engine's message that is kept.
const MESSAGE_LIMIT_CHARS: usize = 300;

/// Why a request to the container engine failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine did not answer. The request may have taken effect.
    #[error("{operation}: the container engine does not answer")]
    EngineUnreachable {
        /// The request, as in "creating a container".
        operation: &'static str,
        /// The error of the HTTP client.
        #[source]
        source: EngineError,
    },
    /// The image is not on this host. Images are never pulled for a sandbox.
    #[error("the image {image} is not on this host")]
    ImageMissing {
        /// The configured name of the image, with its tag.
        image: String,
    },
    /// Another process on this host listens on the port.
    #[error("port {port} is taken by another process on this host")]
    PortTaken {
        /// The port of the host that the sandbox has reserved.
        port: u16,
    },
    /// A container with the derived name exists but does not belong to the sandbox.
    #[error("a container named {name} exists but does not belong to the sandbox")]
    NotOurs {
        /// The name of the container.
        name: String,
    },
    /// The engine refused the request.
    #[error("{operation}: the container engine refused (status {status}): {message}")]
    Refused {
        /// The request, as in "creating a container".
        operation: &'static str,
        /// The HTTP status of the engine's answer.
        status: u16,
        /// The engine's message, cut short and without our secrets.
        message: String,
    },
    /// The engine's answer could not be decoded. The source is omitted on purpose: it may quote a
    /// container's environment.
    #[error("{operation}: the answer of the container engine could not be decoded")]
    Unreadable {
        /// The request, as in "creating a container".
        operation: &'static str,
    },
}

impl RuntimeError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::EngineUnreachable { .. } => true,
            // 409: a container with this name is being removed.
            Self::Refused { status, .. } => *status == 409 || *status >= 500,
            Self::ImageMissing { .. }
            | Self::PortTaken { .. }
            | Self::NotOurs { .. }
            | Self::Unreadable { .. } => false,
        }
    }

    /// Wraps the engine's error, with `secrets` replaced.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the variants of bollard's error depend on its features"
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
            source => Self::EngineUnreachable { operation, source },
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
    fn the_engines_message_is_kept_without_our_secrets_and_cut_short() {
        let secret = SecretString::from("s3cret-token");
        let message = format!(
            "invalid environment variable: TOKEN=s3cret-token {}",
            "x".repeat(500)
        );
        let error = EngineError::DockerResponseServerError {
            status_code: 400,
            message,
        };

        let error = RuntimeError::of("creating a container", error, &[&secret]);

        let text = error.to_string();
        assert!(
            text.contains("TOKEN=… x") && !text.contains("s3cret"),
            "{text}"
        );
        assert!(text.len() < 400, "{}", text.len());
        assert!(!error.is_transient());
    }

    #[test]
    fn a_failure_of_the_engine_is_transient() {
        let failure = EngineError::DockerResponseServerError {
            status_code: 500,
            message: String::new(),
        };

        assert!(RuntimeError::of("x", failure, &[]).is_transient());
        assert!(RuntimeError::of("x", EngineError::RequestTimeoutError, &[]).is_transient());
        assert!(!RuntimeError::PortTaken { port: 1 }.is_transient());
    }
}
