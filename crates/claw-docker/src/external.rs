use std::{fmt, str::FromStr};

use claw_domain::{Endpoint, SandboxId, UserId};

/// A template that would not give each person an assistant of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExternalError {
    /// Not a WebSocket address.
    #[error("expected an address that begins with ws:// or wss://")]
    Scheme,
    /// The same address for everybody.
    #[error("expected {{sandbox}} or {{user}} in the address: people must not share an assistant")]
    Shared,
}

/// Assistants somebody else runs: for each person an address made from a template. They are always
/// there; nothing is started, stopped or removed.
#[derive(Clone, PartialEq, Eq)]
pub struct External {
    template: String,
}

impl External {
    /// Where this sandbox's gateway listens.
    pub fn endpoint(&self, sandbox: SandboxId, user: UserId) -> Endpoint {
        let address = self.template.replace("{sandbox}", &sandbox.to_string());
        Endpoint::new(address.replace("{user}", &user.to_string()))
    }
}

impl FromStr for External {
    type Err = ExternalError;

    fn from_str(template: &str) -> Result<Self, ExternalError> {
        if !template.starts_with("ws://") && !template.starts_with("wss://") {
            return Err(ExternalError::Scheme);
        }
        if !template.contains("{sandbox}") && !template.contains("{user}") {
            return Err(ExternalError::Shared);
        }
        Ok(Self {
            template: template.to_owned(),
        })
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "External({})", self.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_an_address_of_their_own() {
        let sandbox = SandboxId::derived_from("s");
        let user = UserId::derived_from("u");
        let external: External = "wss://agents.example/{user}/{sandbox}".parse().unwrap();

        assert_eq!(
            external.endpoint(sandbox, user).as_str(),
            format!("wss://agents.example/{user}/{sandbox}")
        );
    }

    #[test]
    fn an_address_for_everybody_is_refused() {
        assert_eq!(
            "ws://127.0.0.1:18789".parse::<External>(),
            Err(ExternalError::Shared)
        );
        assert_eq!(
            "http://h/{user}".parse::<External>(),
            Err(ExternalError::Scheme)
        );
    }
}
