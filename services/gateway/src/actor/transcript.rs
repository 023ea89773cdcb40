use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use claw_agent::Cursor;
use claw_bus::HandlerError;
use claw_chat::{Decision, Preferences, Quota, Stored, decide, local_midnight};
use claw_domain::{Channel, ReplyId, ReplySource, ReplyText, SandboxId};
use claw_metrics::PROACTIVE_MESSAGES;
use claw_store::{Disposition, NewReply, ProactiveLoad, Profile};
use rand::random;
use tokio::time::Instant;
use tracing::warn;

use super::{Held, UserActor};
use crate::{
    proactive::{ProactiveText, proactive_texts},
    reply::publish_reply,
    turn::retry,
};

/// How often the transcript is read without an event, because events can get lost.
const LOOK_EVERY: Duration = Duration::from_mins(5);

/// How soon the transcript is read again while a run is active whose text is still to come.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Most held messages that the database returns at once.
const HELD_READ: usize = 128;

impl UserActor {
    /// Reads new rows of the transcript, if there may be any, and passes on proactive messages. Returns when
    /// to read next.
    pub(super) async fn read_transcript(&mut self) -> Result<Instant, HandlerError> {
        let (sandbox, session) = self.connect().await?;
        let has_rows = session.take_has_rows();
        if let Some(look_at) = self.connection.look_at
            && !has_rows
            && Instant::now() < look_at
        {
            return Ok(look_at);
        }
        // If this fails, the transcript is read again at once.
        self.connection.look_at = Some(Instant::now());
        self.connection.is_read_to_end = false;
        let cursor = self.connection.cursor();
        let history = session.read_since(cursor.as_ref()).await.map_err(retry)?;
        let has_moved =
            history.cursor.as_ref().map(Cursor::as_str) != cursor.as_ref().map(Cursor::as_str);
        // A heartbeat without an alert moves the cursor too, though its rows are hidden.
        if has_moved || !history.rows.is_empty() {
            let texts = proactive_texts(&history, sandbox);
            let replies = self.filter(sandbox, texts).await?;
            let boot_id = session.handle().boot_id();
            let transcript = self.connection.move_to_end_of(&history, sandbox, boot_id);
            self.settle(Vec::new(), replies, Channel::WhatsApp, transcript)
                .await?;
        }
        // The end of a run may be announced a moment before its rows are written.
        let is_complete = history.activity.is_idle() && !(has_rows && history.rows.is_empty());
        let pause = if is_complete {
            LOOK_EVERY.mul_f64(random::<f64>().midpoint(1.0))
        } else {
            LOOK_AGAIN
        };
        let look_at = Instant::now() + pause;
        self.connection.look_at = Some(look_at);
        self.connection.is_read_to_end = is_complete;
        Ok(look_at)
    }

    /// Decides which proactive messages are sent, held back or withheld. Known messages are left out: a
    /// transcript read from further back shows them again. So are the oldest of more than may be stored in a day.
    pub(super) async fn filter(
        &mut self,
        sandbox: SandboxId,
        texts: Vec<ProactiveText>,
    ) -> Result<Vec<NewReply>, HandlerError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        // Messages that were held earlier are older and go first.
        self.release_held().await?;
        let ids: Vec<_> = texts.iter().map(|text| text.id).collect();
        let known: HashSet<_> = self.context.store.messages().known(self.user, &ids).await?;
        let now = self.context.clock.now();
        let (preferences, load) = self.allowance(now).await?;
        let mut new: Vec<_> = texts
            .into_iter()
            .filter(|text| !known.contains(&text.id))
            .collect();
        let stored_today = Quota {
            texts: load.stored,
            bytes: load.stored_bytes,
        };
        let oldest_beyond = beyond(Quota::PER_DAY.without(stored_today), &new);
        if oldest_beyond > 0 {
            self.drop_texts(sandbox, new.drain(..oldest_beyond)).await;
        }
        let mut sent_today = load.sent;
        let decided = new.into_iter().map(|text| {
            let decision = decide(now, sent_today, &preferences);
            sent_today += u32::from(decision == Decision::Send);
            (text, decision)
        });
        let decided = decided.collect();
        self.hold(decided, now).await
    }

    /// Makes replies of proactive messages. If there are more to hold than may be held, the oldest are withheld.
    async fn hold(
        &mut self,
        decided: Vec<(ProactiveText, Decision)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<NewReply>, HandlerError> {
        let held = decided
            .iter()
            .rev()
            .filter(|(_, decision)| matches!(decision, Decision::HoldUntil(_)));
        let mut to_withhold = held.clone().count();
        let newest = Quota::HELD.fit(held.map(|(text, _)| text.text.expose().len()));
        to_withhold -= newest.texts as usize;
        if newest.texts > 0 {
            let left = Quota::HELD.without(newest);
            let messages = self.context.store.messages();
            messages
                .keep_newest_held(self.user, left.texts, left.bytes, now)
                .await?;
        }
        let mut replies = Vec::new();
        for (text, decision) in decided {
            let (disposition, outcome) = match decision {
                Decision::Send => (Disposition::Published, "sent"),
                Decision::HoldUntil(_) if to_withhold > 0 => {
                    to_withhold -= 1;
                    (Disposition::Withheld, "withheld")
                }
                Decision::HoldUntil(until) => {
                    self.hold_until(until);
                    (Disposition::HeldUntil(until), "held")
                }
                Decision::Withhold => (Disposition::Withheld, "withheld"),
            };
            count_proactive(text.source, outcome);
            replies.push(proactive_reply(
                text.id,
                text.text,
                text.source,
                disposition,
            ));
        }
        Ok(replies)
    }

    /// Leaves proactive messages in the transcript, and tells the operator, because no honest assistant writes so many.
    async fn drop_texts(&self, sandbox: SandboxId, texts: impl Iterator<Item = ProactiveText>) {
        let mut dropped = 0_u32;
        for text in texts {
            count_proactive(text.source, "dropped");
            dropped += 1;
        }
        warn!(
            user.id = %self.user,
            sandbox.id = %sandbox,
            "left {dropped} proactive messages in the transcript: there are too many for one day"
        );
        self.tell_of_flood(sandbox).await;
    }

    /// Publishes held messages that are due, after deciding on them again, because the user may have changed
    /// their preferences. Returns when the next one is due.
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
        let (preferences, load) = self.allowance(now).await?;
        let mut sent_today = load.sent;
        let mut next: Option<DateTime<Utc>> = None;
        for text in held {
            match decide(now, sent_today, &preferences) {
                Decision::Send => {
                    let (id, source) = (text.id, text.source);
                    let reply = proactive_reply(id, text.text, source, Disposition::Published);
                    let publisher = &self.context.publisher;
                    publish_reply(publisher, self.user, &reply, Channel::WhatsApp).await?;
                    messages.release(self.user, &[id], now).await?;
                    count_proactive(source, "released");
                    sent_today += 1;
                }
                Decision::HoldUntil(until) => {
                    next = Some(next.map_or(until, |next| next.min(until)));
                }
                Decision::Withhold => {
                    messages.withhold_held(self.user, now).await?;
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

    /// The user's preferences, and the proactive messages of today.
    async fn allowance(
        &self,
        now: DateTime<Utc>,
    ) -> Result<(Preferences, ProactiveLoad), HandlerError> {
        let preferences = self.preferences().await?;
        let midnight = local_midnight(now, preferences.zone);
        let messages = self.context.store.messages();
        let load = messages.proactive_load(self.user, midnight).await?;
        Ok((preferences, load))
    }

    /// The user's preferences as the database has them now.
    pub(super) async fn preferences(&self) -> Result<Preferences, HandlerError> {
        let profile = self.context.store.users().profile(self.user).await?;
        Ok(self.preferences_in(profile.as_ref()))
    }

    /// The preferences in a profile, with the operator's for those that are not set.
    pub(super) fn preferences_in(&self, profile: Option<&Profile>) -> Preferences {
        let stored = profile.map(|profile| Stored {
            address: Some(&profile.address),
            zone: profile.zone.as_deref(),
            quiet_hours: profile.quiet.as_deref(),
            updates_stopped: profile.updates_stopped,
        });
        let defaults = self.context.policy.preferences;
        Preferences::read(stored.unwrap_or_default(), defaults)
    }

    fn hold_until(&mut self, until: DateTime<Utc>) {
        self.held = match self.held {
            Held::Until(earlier) => Held::Until(earlier.min(until)),
            Held::None => Held::Until(until),
            Held::Unknown => Held::Unknown,
        };
    }

    /// Makes the actor decide on held messages again, after the user has changed their preferences.
    pub(super) const fn reread_held(&mut self) {
        self.held = Held::Unknown;
    }
}

/// How many of the oldest texts are beyond the quota.
fn beyond(quota: Quota, texts: &[ProactiveText]) -> usize {
    let newest_first = texts.iter().rev().map(|text| text.text.expose().len());
    texts.len() - quota.fit(newest_first).texts as usize
}

const fn proactive_reply(
    id: ReplyId,
    text: ReplyText,
    source: ReplySource,
    disposition: Disposition,
) -> NewReply {
    NewReply {
        id,
        text,
        source,
        run_id: None,
        cause: None,
        disposition,
    }
}

fn count_proactive(source: ReplySource, outcome: &'static str) {
    PROACTIVE_MESSAGES.increment([source.as_str(), outcome]);
}
