//! Webhooks of Meta's for one text message each, without the simulated Meta, which would also answer.

use anyhow::Result;
use claw_runtime::{HttpTimeouts, http};
use claw_whatsapp::signature;
use reqwest::{Client, StatusCode};
use secrecy::SecretString;
use sim_meta::SimMetaConfig;

/// Posts signed webhooks, as Meta does. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSender {
    client: Client,
    url: String,
    secret: SecretString,
}

impl WebhookSender {
    /// A sender to this address.
    pub fn to(url: String) -> Self {
        Self {
            client: http::client(HttpTimeouts::default()),
            url,
            secret: SimMetaConfig::default().app_secret,
        }
    }

    /// Posts a webhook, and returns the status of the answer.
    pub async fn post(&self, number: u32) -> Result<StatusCode> {
        let body = webhook(number);
        let signature = signature::sign(&self.secret, body.as_bytes());
        let request = self.client.post(&self.url).body(body);
        let answer = request.header(signature::HEADER, signature).send().await?;
        Ok(answer.status())
    }
}

/// The body of Meta's webhook for one text message with a unique id.
pub fn webhook(number: u32) -> String {
    let (user, id) = (number % 500, SimMetaConfig::default().phone_number_id);
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"{id}"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"49152{user:06}"}}],"messages":[{{"from":"49152{user:06}","id":"wamid.bench{number}","timestamp":"1700000000","type":"text","text":{{"body":"How much did I spend on groceries this week?"}}}}]}}}}]}}]}}"#
    )
}
