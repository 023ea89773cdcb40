use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use claw_bus::HandlerError;
use claw_chat::{Decision, Preferences, Stored, decide, local_midnight};
use claw_domain::{Channel, SandboxId};
use claw_store::{Disposition, NewReply};
use metrics::counter;
use rand::random;
use tokio::time::Instant;

use super::{Held, UserActor};
use crate::{
    proactive::{ProactiveText, proactive_texts},
    turn::again,
};

/// How often the transcript is read though nothing was heard: events can get lost.
const LOOK_EVERY: Duration = Duration::from_mins(5);

/// How soon it is read again while something runs in it, whose text is still to come.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Held texts the database gives at once.
const HELD_READ: usize = 1_000;

impl UserActor {
    /// Reads what the assistant wrote since the last time, if it may have written something, and
    /// passes on what nobody asked for. The next time to look, or `None` for at once.
    pub(super) async fn hear(&mut self) -> Result<Option<Instant>, HandlerError> {
        let session = self.connect().await?;
        let has_grown = session.take_growth();
        let look_at = self.connection.look_at;
        if !has_grown && look_at.is_some_and(|look_at| Instant::now() < look_at) {
            return Ok(look_at);
        }
        let Some(sandbox) = self.sandbox.as_ref().map(|sandbox| sandbox.id) else {
            return Ok(None);
        };
        // Should it fail, it is read again.
        self.connection.look_at = Some(Instant::now());
        let history = session.read_since(self.connection.cursor().as_ref()).await;
        let history = history.map_err(again)?;
        let read_to = self
            .connection
            .read_to
            .as_ref()
            .map(|read_to| read_to.cursor.as_str());
        let moves = history.cursor.as_ref().map(claw_agent::Cursor::as_str) != read_to;
        // A quiet heartbeat moves the cursor, too, though its rows are hidden.
        if moves || !history.rows.is_empty() {
            let replies = self.judge(proactive_texts(&history, sandbox)).await?;
            let boot_id = session.handle().boot_id();
            self.settle(Vec::new(), replies, Some((sandbox, &history, boot_id)))
                .await?;
        }
        // A run's end may be told a moment before its rows are there.
        let is_settled = history.activity.is_idle() && !(has_grown && history.rows.is_empty());
        let pause = if is_settled {
            LOOK_EVERY.mul_f64(random::<f64>().midpoint(1.0))
        } else {
            LOOK_AGAIN
        };
        self.connection.look_at = Some(Instant::now() + pause);
        Ok(self.connection.look_at)
    }

    /// Decides what becomes of texts nobody asked for. Those known already are left out: a transcript
    /// that was read from further back shows them again.
    pub(super) async fn judge(
        &mut self,
        texts: Vec<ProactiveText>,
    ) -> Result<Vec<NewReply>, HandlerError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        // What was held back came first.
        self.release_held().await?;
        let ids: Vec<_> = texts.iter().map(|said| said.id).collect();
        let known: HashSet<_> = self.context.store.messages().known(self.user, &ids).await?;
        let now = self.context.clock.now();
        let (preferences, mut sent_today) = self.allowance(now).await?;
        let new = texts.into_iter().filter(|said| !known.contains(&said.id));
        let mut replies = Vec::new();
        for said in new {
            let disposition = match decide(now, sent_today, &preferences) {
                Decision::Send => Disposition::Published,
                Decision::HoldUntil(until) => Disposition::HeldUntil(until),
                Decision::Withhold => Disposition::Withheld,
            };
            let label = match disposition {
                Disposition::Published => {
                    sent_today += 1;
                    "sent"
                }
                Disposition::HeldUntil(until) => {
                    self.hold_until(until);
                    "held"
                }
                Disposition::Withheld => "withheld",
            };
            counter!("claw_proactive_total", "source" => said.source.as_str(), "outcome" => label)
                .increment(1);
            replies.push(NewReply {
                id: said.id,
                text: said.text,
                source: said.source,
                run_id: None,
                cause: None,
                disposition,
            });
        }
        Ok(replies)
    }

    /// Says texts held back whose time has come; judged anew, because the person may have changed
    /// their mind. When the next is due.
    pub(super) async fn release_held(&mut self) -> Result<Option<Instant>, HandlerError> {
        let now = self.context.clock.now();
        match self.held {
            Held::None => return Ok(None),
            Held::Until(until) if now < until => return Ok(Some(self.instant_of(until))),
            Held::Until(_) | Held::Unknown => {}
        }
        let messages = self.context.store.messages();
        let held = messages.held(self.user).await?;
        if held.is_empty() {
            self.held = Held::None;
            return Ok(None);
        }
        let is_all = held.len() < HELD_READ;
        let (preferences, mut sent_today) = self.allowance(now).await?;
        let mut next: Option<DateTime<Utc>> = None;
        for text in held {
            match decide(now, sent_today, &preferences) {
                Decision::Send => {
                    let reply = NewReply {
                        id: text.id,
                        text: text.text,
                        source: text.source,
                        run_id: None,
                        cause: None,
                        disposition: Disposition::Published,
                    };
                    let publisher = &self.context.publisher;
                    crate::reply::publish_reply(publisher, self.user, &reply, Channel::WhatsApp)
                        .await?;
                    messages.release(self.user, &[text.id], now).await?;
                    counter!("claw_proactive_total", "source" => text.source.as_str(), "outcome" => "released")
                        .increment(1);
                    sent_today += 1;
                }
                Decision::HoldUntil(until) => {
                    next = Some(next.map_or(until, |next| next.min(until)));
                }
                Decision::Withhold => {
                    messages.withhold_held(self.user).await?;
                    break;
                }
            }
        }
        self.held = match next {
            Some(next) => Held::Until(next),
            None if is_all => Held::None,
            None => return Ok(Some(Instant::now())),
        };
        Ok(next.map(|next| self.instant_of(next)))
    }

    /// What the user allows, and how many proactive messages they have been sent today.
    async fn allowance(&self, now: DateTime<Utc>) -> Result<(Preferences, u32), HandlerError> {
        let preferences = self.preferences().await?;
        let midnight = local_midnight(now, preferences.zone);
        let messages = self.context.store.messages();
        let sent_today = messages.proactive_since(self.user, midnight).await?;
        Ok((preferences, sent_today))
    }

    /// The user's preferences as the database has them now.
    pub(super) async fn preferences(&self) -> Result<Preferences, HandlerError> {
        let profile = self.context.store.users().profile(self.user).await?;
        let stored = profile.as_ref().map(|profile| Stored {
            address: Some(&profile.address),
            zone: profile.zone.as_deref(),
            quiet_hours: profile.quiet.as_deref(),
            updates_stopped: profile.updates_stopped,
        });
        let defaults = self.context.policy.preferences;
        Ok(Preferences::read(stored.unwrap_or_default(), defaults))
    }

    fn hold_until(&mut self, until: DateTime<Utc>) {
        self.held = match self.held {
            Held::Until(earlier) => Held::Until(earlier.min(until)),
            Held::None => Held::Until(until),
            Held::Unknown => Held::Unknown,
        };
    }

    /// Looks at the texts held back again: the person has changed what they allow.
    pub(super) const fn judge_held_again(&mut self) {
        self.held = Held::Unknown;
    }

    /// The sandbox's id, if there is a row.
    pub(super) fn sandbox_id(&self) -> Option<SandboxId> {
        self.sandbox.as_ref().map(|sandbox| sandbox.id)
    }
}
