//! The simulated sandbox image: what a start of a container comes to, and what its environment must contain.
//! `deploy/sandbox/README.md` describes the contract.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sim_openclaw::Access;

/// The variables without which the image exits at once.
const REQUIRED: [&str; 5] = [
    "OPENCLAW_GATEWAY_TOKEN",
    "OPENROUTER_API_KEY",
    "OPENCLAW_MODEL",
    "CLAWKAKA_DEVICE_ID",
    "CLAWKAKA_DEVICE_PUBLIC_KEY",
];

/// What a start of a container comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starts {
    /// OpenClaw runs.
    Run {
        /// Milliseconds until it answers; until then the engine accepts connections and drops them.
        listen_ms: u64,
        /// Milliseconds from then until `/readyz` answers 200.
        ready_ms: u64,
    },
    /// The process exits at once, and the start succeeds.
    Exit {
        /// The exit code.
        code: i64,
    },
    /// OpenClaw accepts connections and says nothing.
    Hang,
}

impl Default for Starts {
    fn default() -> Self {
        Self::Run {
            listen_ms: 0,
            ready_ms: 0,
        }
    }
}

/// Who may connect, from a container's `Env`; `None` if the image exits with 78 (`EX_CONFIG`).
pub(crate) fn access(env: &[String]) -> Option<Access> {
    let values: HashMap<&str, &str> = env
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name, value.trim()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if !REQUIRED.iter().all(|name| values.contains_key(name)) {
        return None;
    }
    let device_id = values["CLAWKAKA_DEVICE_ID"].to_lowercase();
    let public_key = URL_SAFE_NO_PAD
        .decode(values["CLAWKAKA_DEVICE_PUBLIC_KEY"])
        .ok()?;
    let is_device = hex::encode(Sha256::digest(&public_key)) == device_id;
    is_device.then(|| Access {
        token: values["OPENCLAW_GATEWAY_TOKEN"].into(),
        device_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::environment;

    #[test]
    fn an_environment_without_a_required_variable_or_with_anothers_device_is_refused() {
        assert!(access(&environment()).is_some());
        for (at, _) in REQUIRED.iter().enumerate() {
            let mut env = environment();
            env.remove(at);
            assert!(access(&env).is_none(), "{env:?}");
        }
        let mut env = environment();
        env.push("CLAWKAKA_DEVICE_ID=00".to_owned());
        assert!(access(&env).is_none());
    }
}
