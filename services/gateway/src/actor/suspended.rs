use claw_bus::HandlerError;
use claw_chat::{Item, Notice};
use claw_domain::Channel;
use claw_metrics::NOTICES;
use claw_store::Suspension;

use super::{Flow, UserActor};
use crate::{reply::suspension_reply, suspensions::Scope};

impl UserActor {
    /// While the user is suspended, nothing is sent to the assistant and nothing is read from it. The actor tells the
    /// user once, unless they are blocked, and ends: messages wait in the database, proactive texts in the transcript.
    pub(super) async fn stay_suspended(
        &mut self,
        suspension: &Suspension,
        scope: Scope,
    ) -> Result<Flow, HandlerError> {
        self.connection.close();
        if is_to_be_told(suspension, scope, self.queue.iter()) {
            self.tell_of(suspension).await?;
        }
        Ok(Flow::Exit)
    }

    async fn tell_of(&mut self, suspension: &Suspension) -> Result<(), HandlerError> {
        let reply = suspension_reply(self.user, suspension.since);
        let messages = self.context.store.messages();
        if !messages.known(self.user, &[reply.id]).await?.is_empty() {
            return Ok(());
        }
        NOTICES.increment([Notice::Suspended.name()]);
        self.settle(Vec::new(), vec![reply], Channel::WhatsApp, None)
            .await
    }
}

/// A user who is suspended alone is told at once. When everybody is, those are told who write meanwhile: an operator
/// who stops everything does not want to write to everybody. A blocked user is told nothing.
fn is_to_be_told<'a>(
    suspension: &Suspension,
    scope: Scope,
    mut queue: impl Iterator<Item = &'a Item>,
) -> bool {
    match scope {
        Scope::User => !suspension.is_block,
        Scope::Everybody => {
            queue.any(|item| item.origin.is_written() && item.taken_at > suspension.since)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use claw_chat::Plan;
    use claw_domain::{CallId, MessageId, Origin, VoiceKind, Wamid};

    use super::*;

    #[test]
    fn when_everybody_is_suspended_those_are_told_who_write_meanwhile() {
        let suspension = Suspension {
            since: DateTime::UNIX_EPOCH,
            reason: "test".to_owned(),
            is_block: false,
        };
        let (before, after) = (written(-1), written(1));
        let is_told = |scope, queue: &[Item]| is_to_be_told(&suspension, scope, queue.iter());

        assert!(is_told(Scope::User, &[]));
        assert!(is_told(Scope::Everybody, &[before.clone(), after.clone()]));
        for queue in [vec![], vec![before], vec![spoken(after)]] {
            assert!(!is_told(Scope::Everybody, &queue), "{queue:?}");
        }
    }

    #[test]
    fn a_blocked_user_is_told_nothing() {
        let block = Suspension {
            since: DateTime::UNIX_EPOCH,
            reason: "blocked".to_owned(),
            is_block: true,
        };

        assert!(!is_to_be_told(&block, Scope::User, [written(1)].iter()));
    }

    fn written(second: i64) -> Item {
        Item {
            id: MessageId::derived_from("wamid.A"),
            origin: Origin::WhatsApp {
                wamid: Wamid::new("wamid.A"),
            },
            heard: None,
            sequence: 1,
            taken_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(second),
            plan: Plan::Ask("Hi".into()),
            batch: None,
            may_have_been_sent: false,
        }
    }

    /// A caller hears it.
    fn spoken(item: Item) -> Item {
        Item {
            origin: Origin::Voice {
                call: CallId::derived_from("CA1"),
                turn: 1,
                kind: VoiceKind::Speech,
            },
            ..item
        }
    }
}
