use std::fmt;

/// The services, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Receives webhooks and serves relay sockets.
    Ingress,
    /// Makes and removes sandboxes.
    Provisioner,
    /// Sends messages to the assistants and reads their answers.
    Gateway,
    /// Delivers replies to users.
    Outbound,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 4] = [
        Self::Ingress,
        Self::Provisioner,
        Self::Gateway,
        Self::Outbound,
    ];

    /// The name of the service's binary and of its NATS user.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Provisioner => "provisioner",
            Self::Gateway => "gateway",
            Self::Outbound => "outbound",
        }
    }

    /// The replica with this index, from 0.
    pub const fn replica(self, number: usize) -> Replica {
        Replica {
            service: self,
            number,
        }
    }
}

/// One process of a service. A [`Service`] converts to its first replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Replica {
    /// The service that this process belongs to.
    pub service: Service,
    /// The process's index within the service, from 0.
    pub number: usize,
}

impl From<Service> for Replica {
    fn from(service: Service) -> Self {
        service.replica(0)
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service.name(), self.number)
    }
}
