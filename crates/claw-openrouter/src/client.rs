use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use claw_model_keys::{KeyError, KeyHash, KeyInfo, Minted, ModelKeys, SpendLimit};
use reqwest::{Client, RequestBuilder, StatusCode, header::RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::wire::{ApiError, ChangeKey, CreateKey, CreatedKey, KeyObject, KeyPage};

/// The number of keys on one page of a listing, fixed by the API.
const PAGE: usize = 100;

/// The most pages read: far more keys than one account should have, and a bound for a listing that does not
/// end.
const PAGES_LIMIT: usize = 1_000;

/// The longest advised pause that we follow.
const RETRY_AFTER_LIMIT: Duration = Duration::from_mins(1);

/// An account at OpenRouter, used over HTTP.
#[derive(Clone)]
pub struct OpenRouter {
    http: Client,
    base_url: String,
    management_key: SecretString,
}

impl OpenRouter {
    /// Uses the API at `base_url` (`https://openrouter.ai/api/v1`) through `http`, whose timeouts apply.
    pub fn new(http: Client, base_url: &str, management_key: SecretString) -> Self {
        let base_url = base_url.trim_end_matches('/').to_owned();
        Self {
            http,
            base_url,
            management_key,
        }
    }

    async fn page(&self, offset: usize) -> Result<KeyPage, KeyError> {
        let request = self.http.get(format!("{}/keys", self.base_url)).query(&[
            ("offset", offset.to_string().as_str()),
            ("include_disabled", "true"),
        ]);
        self.call("listing model keys", request).await?.read()
    }

    async fn call(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, KeyError> {
        let no_answer = |source: reqwest::Error| KeyError::Unreachable {
            operation,
            source: source.without_url().into(),
        };
        let request = request.bearer_auth(self.management_key.expose_secret());
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_LIMIT));
        let body = response.bytes().await.map_err(no_answer)?.to_vec();
        Answer {
            operation,
            status,
            retry_after,
            body,
        }
        .checked()
    }
}

#[async_trait]
impl ModelKeys for OpenRouter {
    async fn mint(&self, name: &str, limit: SpendLimit) -> Result<Minted, KeyError> {
        let request = self
            .http
            .post(format!("{}/keys", self.base_url))
            .json(&CreateKey::new(name, limit));
        let created: CreatedKey = self.call("minting a model key", request).await?.read()?;
        let hash = created.data.hash();
        if created.data.has_limit(limit) {
            return Ok(Minted {
                hash,
                key: created.key.into(),
            });
        }
        // A key without its limit could spend the account's whole credit.
        if let Err(error) = self.revoke(&hash).await {
            let error = &error as &dyn std::error::Error;
            warn!(error, key.hash = %hash, "could not delete model key {hash}, which has no spending limit");
        }
        Err(KeyError::LimitNotTaken {
            asked_usd: limit.usd,
            asked_reset: limit.reset.as_str(),
            taken: created.data.limit_in_words(),
        })
    }

    async fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        // By hash, because keys made or deleted meanwhile shift the pages: a key may be listed twice.
        let mut keys = BTreeMap::new();
        for page in 0..PAGES_LIMIT {
            let listed = self.page(page * PAGE).await?.data;
            let is_last = listed.len() < PAGE;
            let readable = listed
                .into_iter()
                .filter_map(|key| serde_json::from_value::<KeyObject>(key).ok());
            keys.extend(readable.map(|key| (key.hash(), key.into())));
            if is_last {
                break;
            }
        }
        Ok(keys.into_values().collect())
    }

    async fn set_disabled(&self, hash: &KeyHash, disabled: bool) -> Result<(), KeyError> {
        let request = self
            .http
            .patch(format!("{}/keys/{hash}", self.base_url))
            .json(&ChangeKey { disabled });
        match self.call("changing a model key", request).await {
            Ok(_) | Err(KeyError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn revoke(&self, hash: &KeyHash) -> Result<(), KeyError> {
        let request = self.http.delete(format!("{}/keys/{hash}", self.base_url));
        match self.call("revoking a model key", request).await {
            Ok(_) | Err(KeyError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for OpenRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenRouter")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

struct Answer {
    operation: &'static str,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    /// Returns an error for a failed request. An `error` in the body counts even with a success status.
    fn checked(self) -> Result<Self, KeyError> {
        let api_error = ApiError::of(&self.body);
        let status = match &api_error {
            None if self.status.is_success() => return Ok(self),
            Some(api_error) if self.status.is_success() => api_error.code.unwrap_or(500),
            Some(_) | None => self.status.as_u16(),
        };
        let operation = self.operation;
        let message = api_error.unwrap_or_default().to_string();
        Err(match status {
            401 | 403 => KeyError::Denied {
                operation,
                status,
                message,
            },
            408 | 429 | 500.. => KeyError::Busy {
                operation,
                status,
                retry_after: self.retry_after,
            },
            _ => KeyError::Refused {
                operation,
                status,
                message,
            },
        })
    }

    fn read<T: DeserializeOwned>(self) -> Result<T, KeyError> {
        // serde's error is dropped, because it may quote the body, and the body may contain a key.
        serde_json::from_slice(&self.body).map_err(|_| KeyError::Unreadable {
            operation: self.operation,
            status: self.status.as_u16(),
        })
    }
}
