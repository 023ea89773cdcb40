use claw_domain::{Address, Attestation, CallId};
use claw_twilio::form::{Caller, VoiceRequest};

use super::CallControl;
use crate::voice::call_state::CallState;

/// The number that a call is attributed to.
pub(crate) struct CallerId {
    pub(crate) address: Address,
    pub(crate) attestation: Attestation,
}

impl CallControl {
    /// The caller of a request: the number shown, or else the number keyed in, if there is one.
    pub(super) async fn caller(
        &self,
        call: CallId,
        request: &VoiceRequest,
        state: CallState,
    ) -> anyhow::Result<Option<CallerId>> {
        match shown_caller(&request.caller) {
            Some(caller) => Ok(Some(caller)),
            None if state.has_keyed => self.keyed_caller(call, request).await,
            None => Ok(None),
        }
    }

    /// The caller by the number keyed in earlier in this call.
    pub(super) async fn keyed_caller(
        &self,
        call: CallId,
        request: &VoiceRequest,
    ) -> anyhow::Result<Option<CallerId>> {
        let address = self.watcher.live_calls().caller(call).await?;
        Ok(address.map(|address| CallerId {
            address,
            attestation: attestation_of(&request.caller),
        }))
    }
}

/// The caller by the number that Twilio shows; `None` if the caller ID is hidden.
pub(super) fn shown_caller(caller: &Caller) -> Option<CallerId> {
    match caller {
        Caller::Known { phone, attestation } => Some(CallerId {
            address: Address::Phone(phone.clone()),
            attestation: *attestation,
        }),
        Caller::Hidden { .. } => None,
    }
}

/// What the network says about the number of a caller, shown or keyed in.
pub(super) const fn attestation_of(caller: &Caller) -> Attestation {
    match caller {
        Caller::Known { attestation, .. } | Caller::Hidden { attestation } => *attestation,
    }
}
