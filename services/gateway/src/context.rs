use std::{sync::Arc, time::Duration};

use claw_bus::{Bus, Publisher};
use claw_calls::LiveCalls;
use claw_chat::{Admission, Defaults, VoiceTrust, WakeLimits, language_of};
use claw_domain::{Address, Language, UserId};
use claw_events::CallStatus;
use claw_runtime::Clock;
use claw_seal::OpeningKey;
use claw_store::{Store, StoreError};
use claw_suspensions::SuspensionView;
use tokio::sync::Semaphore;

use crate::{agents::Agents, turn::TurnLimits};

/// Most users whose messages are read and whose assistant is connected to at the same time. After a
/// takeover all users of a partition start together: each start takes a few SQL statements, a signature
/// check in the sandbox, and memory.
pub(crate) const STARTS_AT_ONCE: usize = 96;

/// The connections and settings that all handlers and actors share.
pub(crate) struct Context {
    pub(crate) bus: Bus,
    pub(crate) publisher: Publisher,
    pub(crate) live_calls: LiveCalls,
    pub(crate) store: Store,
    pub(crate) suspensions: SuspensionView,
    pub(crate) agents: Agents,
    /// Opens what ingress has sealed.
    pub(crate) pins: OpeningKey,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    /// Permits to read a user's messages and connect to their assistant: [`STARTS_AT_ONCE`] in all.
    pub(crate) starts: Arc<Semaphore>,
}

impl Context {
    /// The status of a call that is put through, with the language the user chose, or else that of their number.
    pub(crate) async fn ready_for(&self, user: UserId) -> Result<CallStatus, StoreError> {
        let profile = self.store.users().profile(user).await?;
        let has_chat = profile.as_ref().is_some_and(|profile| profile.has_chat);
        let language = profile.and_then(|profile| match (profile.language, profile.address) {
            (Some(tag), _) => Language::parse(&tag),
            (None, Address::Phone(phone)) => Some(language_of(&phone)),
            (None, Address::WhatsApp(_)) => None,
        });
        Ok(CallStatus::Ready { language, has_chat })
    }

    /// Whether we may write to the user: they have written to us, or asked for a message on the phone.
    pub(crate) async fn has_chat(&self, user: UserId) -> Result<bool, StoreError> {
        let profile = self.store.users().profile(user).await?;
        Ok(profile.is_some_and(|profile| profile.has_chat))
    }
}

/// How the gateway treats users, as the operator configured it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// Which newcomers come in.
    pub(crate) admission: Admission,
    /// How long a turn may take.
    pub(crate) limits: TurnLimits,
    /// After this long in a turn the user is told once that their assistant is still at work.
    pub(crate) still_working_after: Duration,
    /// After this long without an answer from a sandbox that starts again, the user is told once that it does.
    pub(crate) still_waking_after: Duration,
    /// After this long without a use, a sandbox sleeps.
    pub(crate) sleep_after: Duration,
    /// How often a sandbox wakes by itself.
    pub(crate) wakes: WakeLimits,
    /// When this many messages wait behind a turn, the user is told so once.
    pub(crate) backlog: u32,
    /// Whom to let in on the phone without a PIN.
    pub(crate) voice_trust: VoiceTrust,
    /// The preferences of users who have not set their own.
    pub(crate) preferences: Defaults,
}
