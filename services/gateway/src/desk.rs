use std::{sync::Arc, time::Duration};

use claw_bus::{Bus, Publisher};
use claw_calls::LiveCalls;
use claw_domain::{Language, UserId};
use claw_events::CallStanding;
use claw_runtime::Clock;
use claw_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::{agents::Agents, guard::Quiet, turn::TurnLimits};

/// People whose messages are read and whose assistant is connected to at once. After a takeover everyone's
/// turn comes together: each takes a few statements, a signature check of the sandbox, and memory.
pub(crate) const STARTS_AT_ONCE: usize = 96;

/// What every person's actor works with.
pub(crate) struct Desk {
    pub(crate) bus: Bus,
    pub(crate) publisher: Publisher,
    pub(crate) live_calls: LiveCalls,
    pub(crate) store: Store,
    pub(crate) agents: Agents,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) manners: Manners,
    /// Has [`STARTS_AT_ONCE`] permits.
    pub(crate) starts: Arc<Semaphore>,
}

impl Desk {
    /// That this person's assistant listens on the phone, in the language they chose.
    pub(crate) async fn ready_for(&self, user: UserId) -> Result<CallStanding, StoreError> {
        let profile = self.store.users().profile(user).await?;
        let language = profile.and_then(|profile| Language::parse(profile.language.as_deref()?));
        Ok(CallStanding::Ready { language })
    }
}

/// How people are treated, as the operator chose.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    /// How long a turn may take.
    pub(crate) limits: TurnLimits,
    /// After this long a person hears, once, that their assistant is still at work.
    pub(crate) still_working_after: Duration,
    /// More messages than this behind a running turn, and the person hears so, once.
    pub(crate) backlog: u32,
    /// When nobody is to be disturbed, unless they say otherwise; `None` is never.
    pub(crate) quiet: Option<Quiet>,
    /// Most proactive texts to one person a day; 0 is no limit.
    pub(crate) proactive_per_day: u32,
}
