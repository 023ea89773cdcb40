use std::{sync::Arc, time::Duration};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Address, Attestation, CallOutcome};
use claw_events::{CallProgressed, CallStep};
use claw_metrics::CALLS_ASSUMED_ENDED;
use claw_store::{Call, CallEnd};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::context::Context;

/// A call in which the caller has not spoken for so long has ended, and Twilio's report was lost: callers who
/// are silent, wait for an answer or wait for their assistant are sent off within three minutes.
const LONGEST_SILENCE: TimeDelta = TimeDelta::minutes(15);

/// How often the database is searched for such calls.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Most calls ended in one search.
const AT_ONCE: u32 = 100;

/// Ends calls whose end was never reported, so that unheard answers are written in the chat. All replicas do
/// so: the end of a call has one id, whoever publishes it.
pub(crate) struct LostCalls {
    pub(crate) context: Arc<Context>,
}

impl LostCalls {
    /// Ends such calls until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if let Err(error) = self.look().await {
                warn!("could not end calls whose end was lost; trying again: {error:#}");
            }
        }
    }

    async fn look(&self) -> Result<()> {
        let now = self.context.clock.now();
        let calls = self.context.store.calls();
        for call in calls.silent_since(now - LONGEST_SILENCE, AT_ONCE).await? {
            info!(call.id = %call.id, "the end of call {} was never reported: assuming it has ended", call.id);
            CALLS_ASSUMED_ENDED.increment([]);
            let end = assumed_end(&call, now);
            match self.context.store.users().address_of(call.user).await? {
                Some(address) => {
                    let over = progressed(&call, address, end);
                    self.context.publisher.publish(&over).await?;
                }
                // The number belongs to no user: there is nobody to write to.
                None => calls.end(call.id, call.user, &end).await?,
            }
        }
        Ok(())
    }
}

/// The end of a call that lasted, as far as we know, until the caller last spoke.
fn assumed_end(call: &Call, now: DateTime<Utc>) -> CallEnd {
    let last = call.last_spoken_at.unwrap_or(call.started_at);
    let seconds = (last - call.started_at).num_seconds();
    CallEnd {
        at: now,
        duration_seconds: u32::try_from(seconds).unwrap_or(0),
        outcome: CallOutcome::Completed,
    }
}

fn progressed(call: &Call, address: Address, end: CallEnd) -> CallProgressed {
    CallProgressed {
        call: call.id,
        user: call.user,
        address,
        attestation: call.attestation.unwrap_or(Attestation::NoVerdict),
        at: end.at,
        step: CallStep::Ended {
            seconds: end.duration_seconds,
            outcome: end.outcome,
        },
    }
}

#[cfg(test)]
mod tests {
    use claw_domain::CallId;

    use super::*;

    #[test]
    fn a_call_whose_end_was_lost_is_assumed_to_last_until_the_caller_last_spoke() {
        let rang = DateTime::UNIX_EPOCH;
        let silent = Call {
            id: CallId::derived_from("CA1"),
            user: claw_testkit::user("ada"),
            attestation: Some(Attestation::Full),
            started_at: rang,
            turns: 0,
            last_turn: 0,
            last_spoken_at: None,
            setup_awaited: false,
            opened_at: None,
            unstored_turn: 0,
            pin_tries: 0,
            wrong_pins: 0,
            end: None,
        };
        let spoken = Call {
            last_spoken_at: Some(rang + TimeDelta::seconds(90)),
            ..silent.clone()
        };
        let now = rang + TimeDelta::hours(1);

        assert_eq!(assumed_end(&silent, now).duration_seconds, 0);
        assert_eq!(assumed_end(&spoken, now).duration_seconds, 90);
        assert_eq!(assumed_end(&spoken, now).at, now);
    }
}
