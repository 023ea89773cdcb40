//! The provider of model keys. Its name occurs in this file only: another provider is another crate and another
//! version of this file.

use std::sync::Arc;

use claw_model_keys::ModelKeys;
use claw_openrouter::OpenRouter;
use claw_runtime::{Env, EnvError};
use reqwest::Client;
use secrecy::SecretString;

/// The default address of the provider's API.
const PUBLIC_URL: &str = "https://openrouter.ai/api/v1";

/// The environment variable from which a sandbox reads its key.
pub(crate) const KEY_IN_SANDBOX: &str = "OPENROUTER_API_KEY";

/// The environment variable from which a sandbox reads the provider's address.
pub(crate) const URL_IN_SANDBOX: &str = "OPENROUTER_BASE_URL";

/// The account in which model keys are made.
#[derive(Debug)]
pub(crate) struct ModelKeysConfig {
    url: String,
    management_key: SecretString,
}

impl ModelKeysConfig {
    /// Reads the provider's settings.
    pub(crate) fn read(env: &Env) -> Result<Self, EnvError> {
        let management_key = env.secret("OPENROUTER_PROVISIONING_KEY");
        let url = env.or("OPENROUTER_BASE_URL", PUBLIC_URL.to_owned());
        Ok(Self {
            url: url?,
            management_key: management_key?,
        })
    }

    /// The client of the account.
    pub(crate) fn connect(self, http: Client) -> Arc<dyn ModelKeys> {
        Arc::new(OpenRouter::new(http, &self.url, self.management_key))
    }
}

/// The provider's address as sandboxes see it; `None` for the one that OpenClaw knows.
pub(crate) fn url_for_sandboxes(env: &Env) -> Option<String> {
    env.optional("SANDBOX_OPENROUTER_BASE_URL")
        .or_else(|| env.optional("OPENROUTER_BASE_URL"))
}
