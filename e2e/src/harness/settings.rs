use std::collections::HashMap;

use anyhow::Result;
use claw_testkit::{ReservedPort, TestNats, TestPostgres};
use sim_meta::{SimMeta, SimMetaConfig, SimTemplate};
use sim_openclaw::SimOpenClaw;
use sim_openrouter::SimOpenRouter;
use sim_twilio::SimTwilioConfig;

use super::{
    Replica, Service,
    programs::{Variables, tool},
};

/// 32 bytes that occur nowhere else, so that a search finds a leak.
const MASTER_KEY: &str = "k1:5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed";

/// The prefix of the owner labels of this world's containers.
pub(super) const OWNER: &str = "e2e-test";

/// The token of the simulated `OpenClaw`.
pub(super) const OPENCLAW_TOKEN: &str = "openclaw-token-of-the-simulator";

/// Our public address as configured at Twilio. Requests to it arrive at [`super::World::public_url`].
pub const BASE_URL: &str = "https://api.clawkaka.example";

/// The token with which Twilio signs its webhooks.
pub const TWILIO_AUTH_TOKEN: &str = "twilio-auth-token-of-the-simulator";

/// The environment variables of all programs, as an operator would set them.
pub(super) struct Settings {
    common: Variables,
    nats: Vec<(&'static str, String)>,
    ports: HashMap<Replica, ReservedPort>,
    caddy_port: ReservedPort,
}

impl Settings {
    pub(super) fn new(nats: &TestNats, postgres: &TestPostgres, meta: &SimMeta) -> Result<Self> {
        use secrecy::ExposeSecret;
        let defaults = SimMetaConfig::default();
        let caddy_port = ReservedPort::new()?;
        let common = [
            ("DATABASE_URL", postgres.url()),
            ("CLAWKAKA_MASTER_KEY", MASTER_KEY.to_owned()),
            ("WHATSAPP_VERIFICATION_TOKEN", "verify-me-once".to_owned()),
            (
                "WHATSAPP_APP_SECRET",
                defaults.app_secret.expose_secret().to_owned(),
            ),
            (
                "WHATSAPP_ACCESS_TOKEN",
                defaults.access_token.expose_secret().to_owned(),
            ),
            ("WHATSAPP_SENDER_PHONE_NUMBER_ID", defaults.phone_number_id),
            ("WHATSAPP_API_BASE_URL", meta.graph_url()),
            ("WHATSAPP_TEMPLATE", SimTemplate::default().name),
            (
                "OPENCLAW_MODEL",
                "openrouter/simulated/assistant".to_owned(),
            ),
            ("TWILIO_AUTH_TOKEN", TWILIO_AUTH_TOKEN.to_owned()),
            ("BASE_URL", BASE_URL.to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ];
        let users = ["admin", "ingress", "provisioner", "gateway", "outbound"];
        Ok(Self {
            common: common.map(|(name, value)| (name.to_owned(), value)).into(),
            nats: users.map(|user| (user, nats.url(user))).into(),
            ports: HashMap::new(),
            caddy_port,
        })
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.common.push((name.to_owned(), value.into()));
    }

    /// Adds a replica of a service, with its own port.
    pub(super) fn add_replica(&mut self, service: Service) -> Result<Replica> {
        let replica = service.replica(self.replicas_of(service).count());
        self.ports.insert(replica, ReservedPort::new()?);
        Ok(replica)
    }

    /// All replicas of a service, in the order in which they were added.
    pub(super) fn replicas_of(&self, service: Service) -> impl Iterator<Item = Replica> + use<> {
        let of_service = self.ports.keys().filter(|of| of.service == service);
        (0..of_service.count()).map(move |number| service.replica(number))
    }

    /// Each assistant is named after its user, so that a test can find it.
    pub(super) fn simulate_sandboxes(&mut self, openclaw: &SimOpenClaw) {
        self.set("SANDBOX_RUNTIME", "external");
        self.set("SANDBOX_EXTERNAL_URL", openclaw.url("{user}"));
        self.set("SANDBOX_EXTERNAL_TOKEN", OPENCLAW_TOKEN);
    }

    pub(super) fn use_containers(&mut self, openrouter: &SimOpenRouter) -> Result<()> {
        self.set("SANDBOX_RUNTIME", "docker");
        self.set("SANDBOX_HOST", OWNER);
        // Unset if the default engine of the machine is used.
        if let Ok(engine) = tool("DOCKER_HOST") {
            self.set("DOCKER_HOST", engine.to_string_lossy());
        }
        let image = tool("OPENCLAW_SANDBOX_IMAGE")?;
        self.set("OPENCLAW_SANDBOX_IMAGE", image.to_string_lossy());
        self.set("OPENROUTER_PROVISIONING_KEY", openrouter.management_key());
        self.set("OPENROUTER_BASE_URL", openrouter.base_url());
        self.set(
            "SANDBOX_OPENROUTER_BASE_URL",
            openrouter.base_url_in_containers(),
        );
        Ok(())
    }

    pub(super) fn of_replica(&self, replica: Replica) -> Variables {
        let port = self.port(replica).to_string();
        let mut variables = self.common.clone();
        let nats_url = self.nats_url(replica.service.name());
        variables.push(("NATS_URL".to_owned(), nats_url));
        variables.push(("PORT".to_owned(), port.clone()));
        variables.push(("HEALTH_PORT".to_owned(), port));
        variables
    }

    pub(super) fn of_admin(&self) -> Variables {
        let mut variables = self.common.clone();
        variables.push(("NATS_URL".to_owned(), self.nats_url("admin")));
        variables
    }

    pub(super) fn of_caddy(&self) -> Variables {
        let ingresses = self.replicas_of(Service::Ingress);
        let addresses: Vec<String> = ingresses
            .map(|ingress| format!("127.0.0.1:{}", self.port(ingress)))
            .collect();
        [
            ("API_SITE", format!("http://:{}", self.caddy_port.number())),
            (
                "CONSOLE_SITE",
                format!("http://console.localhost:{}", self.caddy_port.number()),
            ),
            (
                "HEALTH_SITE",
                format!("http://health.localhost:{}", self.caddy_port.number()),
            ),
            ("INGRESS_FROM", format!("to {}", addresses.join(" "))),
            ("CADDY_BIND", "127.0.0.1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The configuration of our number at Twilio, with webhooks at [`BASE_URL`]; connections to it go to
    /// Caddy.
    pub(super) fn number(&self, twilio: SimTwilioConfig) -> SimTwilioConfig {
        let webhook = |path: &str| format!("{BASE_URL}/voice/webhook/{path}");
        SimTwilioConfig {
            auth_token: TWILIO_AUTH_TOKEN.into(),
            voice_url: webhook("voice"),
            fallback_url: Some(webhook("fallback")),
            status_url: Some(webhook("call-status")),
            connect_to: vec![([127, 0, 0, 1], self.caddy_port.number()).into()],
            ..twilio
        }
    }

    pub(super) fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.caddy_port.number())
    }

    pub(super) fn url_of(&self, replica: Replica) -> String {
        format!("http://127.0.0.1:{}", self.port(replica))
    }

    pub(super) fn secrets(&self) -> Vec<(&'static str, String)> {
        [
            "CLAWKAKA_MASTER_KEY",
            "WHATSAPP_VERIFICATION_TOKEN",
            "WHATSAPP_APP_SECRET",
            "WHATSAPP_ACCESS_TOKEN",
            "TWILIO_AUTH_TOKEN",
            "SANDBOX_EXTERNAL_TOKEN",
            "OPENROUTER_PROVISIONING_KEY",
        ]
        .into_iter()
        .filter_map(|name| {
            let (_, value) = self.common.iter().find(|(of, _)| of == name)?;
            Some((name, value.rsplit(':').next().unwrap_or(value).to_owned()))
        })
        .collect()
    }

    fn port(&self, replica: Replica) -> u16 {
        self.ports.get(&replica).map_or(0, ReservedPort::number)
    }

    fn nats_url(&self, user: &str) -> String {
        self.nats
            .iter()
            .find(|(of, _)| *of == user)
            .map(|(_, url)| url.clone())
            .unwrap_or_default()
    }
}
