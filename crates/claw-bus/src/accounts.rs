use claw_events::Stream;

/// An account on the server: a namespace of subjects with its own streams and buckets. Each service has one, which holds
/// what only this service consumes; `nats.conf` defines the accounts and what passes between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Admin,
    Ingress,
    Gateway,
    Provisioner,
    Outbound,
}

impl Account {
    /// The accounts of services whose replicas divide their work.
    pub(crate) const SHARED_BY_REPLICAS: [Self; 3] =
        [Self::Gateway, Self::Provisioner, Self::Outbound];

    /// The account that holds `stream`.
    pub(crate) const fn of(stream: Stream) -> Self {
        match stream {
            Stream::Inbound => Self::Gateway,
            Stream::Outbound | Stream::Status => Self::Outbound,
            Stream::Sandbox => Self::Provisioner,
            Stream::Receipts | Stream::Dead | Stream::Operator => Self::Admin,
        }
    }

    /// The name of the account's only user.
    pub(crate) const fn user(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Ingress => "ingress",
            Self::Gateway => "gateway",
            Self::Provisioner => "provisioner",
            Self::Outbound => "outbound",
        }
    }

    /// The first tokens of the subjects under which `user` reaches the JetStream API of this account.
    pub(crate) fn api_prefix(self, user: &str) -> String {
        if user == self.user() {
            "$JS.API".to_owned()
        } else {
            format!("js.{}", self.user())
        }
    }
}
