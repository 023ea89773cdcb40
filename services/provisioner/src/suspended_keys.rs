use std::sync::atomic::{AtomicBool, Ordering};

use claw_domain::SandboxId;
use claw_model_keys::KeyHash;
use claw_store::{AnySandbox, KeyChange};
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Backend, Fault, Provisioner, containers::Containers};

/// Most keys that are changed at the provider at the same time.
const KEYS_AT_ONCE: usize = 8;

impl Provisioner {
    /// Disables the model keys of suspended users and enables those of resumed ones, until all agree with the rows. A
    /// key that cannot be changed holds up no other, and is left to the next call.
    pub async fn align_keys(&self, stop: &CancellationToken) -> Result<(), Fault> {
        let Backend::Containers(containers) = &self.backend else {
            return Ok(());
        };
        while !stop.is_cancelled() {
            let changes = self.sandboxes.keys_to_change(&self.settings.host).await?;
            if changes.is_empty() {
                break;
            }
            let has_failed = AtomicBool::new(false);
            stream::iter(&changes)
                .for_each_concurrent(KEYS_AT_ONCE, async |change| {
                    if let Err(fault) = self.change_key(containers, change).await {
                        has_failed.store(true, Ordering::Relaxed);
                        let wanted = if change.disable {
                            "disabled"
                        } else {
                            "enabled"
                        };
                        log_unchanged(change.sandbox, wanted, &fault);
                    }
                })
                .await;
            if has_failed.into_inner() {
                break;
            }
        }
        Ok(())
    }

    /// Disables a model key that was just made, if its user has been suspended meanwhile. If that fails, it is left to the
    /// next [`Provisioner::align_keys`].
    pub(crate) async fn align_new_key(&self, containers: &Containers, sandbox: &AnySandbox) {
        if !self.is_suspended(sandbox.user) {
            return;
        }
        let disabling = async {
            let changes = self.sandboxes.keys_to_change(&self.settings.host).await?;
            match changes.iter().find(|change| change.sandbox == sandbox.id) {
                Some(change) => self.change_key(containers, change).await,
                None => Ok(()),
            }
        };
        if let Err(fault) = disabling.await {
            log_unchanged(sandbox.id, "disabled", &fault);
        }
    }

    async fn change_key(&self, containers: &Containers, change: &KeyChange) -> Result<(), Fault> {
        if !self.sandboxes.begin_key_change(change).await? {
            return Ok(());
        }
        let hash = KeyHash::new(change.hash.as_str());
        containers.keys.set_disabled(&hash, change.disable).await?;
        self.sandboxes.finish_key_change(change).await?;
        let (done, because) = if change.disable {
            ("disabled", "suspended")
        } else {
            ("enabled", "resumed")
        };
        info!(
            sandbox.id = %change.sandbox,
            "the model key of sandbox {} is {done}: its user was {because}", change.sandbox
        );
        // A message of a resumed user waits for the key.
        if !change.disable
            && let Some(sandbox) = self.sandboxes.by_id(change.sandbox).await?
        {
            self.announce(&sandbox).await?;
        }
        Ok(())
    }
}

fn log_unchanged(sandbox: SandboxId, wanted: &str, fault: &Fault) {
    let error = fault as &dyn std::error::Error;
    warn!(
        error,
        sandbox.id = %sandbox,
        "the model key of sandbox {sandbox} could not be {wanted}; this is tried again"
    );
}
