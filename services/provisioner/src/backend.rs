use claw_docker::ExternalAddresses;
use secrecy::SecretString;

use crate::containers::Containers;

/// The system that runs the sandboxes.
pub enum Backend {
    /// Containers on this host.
    Containers(Box<Containers>),
    /// A service outside our control, which runs them permanently.
    External {
        /// The addresses of the sandboxes.
        addresses: ExternalAddresses,
        /// The token that every one of them accepts.
        gateway_token: SecretString,
    },
}
