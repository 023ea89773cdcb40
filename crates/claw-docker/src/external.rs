use std::{fmt, str::FromStr};

use claw_domain::{Endpoint, SandboxId, UserId};

/// Why a template of addresses is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExternalAddressError {
    /// The template is not a WebSocket address.
    #[error("expected an address that begins with ws://")]
    Scheme,
    /// The template is a WebSocket address with TLS, which the client does not support.
    #[error(
        "expected an address that begins with ws://: connections with TLS (wss://) are not supported"
    )]
    Tls,
    /// The template gives all users the same address.
    #[error(
        "expected `{{sandbox}}` or `{{user}}` in the address: users must not share an assistant"
    )]
    Shared,
}

/// Sandboxes that run elsewhere, one address for each user, made from a template. We never start, stop or
/// remove them.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAddresses {
    template: String,
}

impl ExternalAddresses {
    /// The address of this sandbox's OpenClaw.
    pub fn endpoint(&self, sandbox: SandboxId, user: UserId) -> Endpoint {
        let address = self.template.replace("{sandbox}", &sandbox.to_string());
        Endpoint::new(address.replace("{user}", &user.to_string()))
    }
}

impl FromStr for ExternalAddresses {
    type Err = ExternalAddressError;

    fn from_str(template: &str) -> Result<Self, ExternalAddressError> {
        if template.starts_with("wss://") {
            return Err(ExternalAddressError::Tls);
        }
        if !template.starts_with("ws://") {
            return Err(ExternalAddressError::Scheme);
        }
        if !template.contains("{sandbox}") && !template.contains("{user}") {
            return Err(ExternalAddressError::Shared);
        }
        Ok(Self {
            template: template.to_owned(),
        })
    }
}

impl fmt::Debug for ExternalAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternalAddresses({})", self.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_a_separate_address() {
        let sandbox = SandboxId::derived_from("s");
        let user = UserId::UNKNOWN;
        let external: ExternalAddresses = "ws://agents.example/{user}/{sandbox}".parse().unwrap();

        assert_eq!(
            external.endpoint(sandbox, user).as_str(),
            format!("ws://agents.example/{user}/{sandbox}")
        );
    }

    #[test]
    fn a_template_without_a_placeholder_or_with_another_protocol_is_refused() {
        assert_eq!(
            "ws://127.0.0.1:18789".parse::<ExternalAddresses>(),
            Err(ExternalAddressError::Shared)
        );
        assert_eq!(
            "http://h/{user}".parse::<ExternalAddresses>(),
            Err(ExternalAddressError::Scheme)
        );
        assert_eq!(
            "wss://h/{user}".parse::<ExternalAddresses>(),
            Err(ExternalAddressError::Tls)
        );
    }
}
