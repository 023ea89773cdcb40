use chrono::{DateTime, Utc};
use claw_domain::{MessageId, Sensitive, UserId};
use claw_events::{DeliveryReported, MessageReceived, ReportedError};
use claw_seal::Binding;
use claw_whatsapp::webhook::{
    AccountError, InboundMessage, Item, Lack, Notification, OtherField, Status,
};
use serde_json::Value;

use crate::Keys;

/// The content of one webhook body, sorted by what is done with it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Intake {
    /// Events to publish, in Meta's order.
    pub facts: Vec<Fact>,
    /// Items without a sender or a usable form, with what they lack: dead letters.
    pub unattributable: Vec<(Lack, Sensitive<Value>)>,
    pub notices: Vec<OperatorNotice>,
    /// Number of items for another business number under the same Meta app. Its owner has a webhook of
    /// their own.
    pub for_others: usize,
}

/// An event to publish.
#[derive(Debug, PartialEq)]
pub(crate) enum Fact {
    Message(Box<MessageReceived>),
    Status(Box<DeliveryReported>),
}

/// News about our own Meta account, for the operator.
#[derive(Debug, PartialEq)]
pub(crate) enum OperatorNotice {
    AccountError(AccountError),
    Other(OtherField),
}

impl Intake {
    /// Sorts what Meta sent to the number with the id `ours`. Items without a time get `now`.
    pub(crate) fn of(
        notification: Notification,
        ours: &str,
        keys: &Keys,
        now: DateTime<Utc>,
    ) -> Self {
        let mut intake = Self::default();
        for item in notification.items {
            if is_for_another(&item, ours) {
                intake.for_others += 1;
            } else {
                intake.add(item, keys, now);
            }
        }
        intake
    }

    fn add(&mut self, item: Item, keys: &Keys, now: DateTime<Utc>) {
        match item {
            Item::Message(message) => {
                let message = received(*message, keys, now);
                self.facts.push(Fact::Message(Box::new(message)));
            }
            Item::Status(status) => {
                let report = reported(*status, keys, now);
                self.facts.push(Fact::Status(Box::new(report)));
            }
            Item::AccountError(error) => self.notices.push(OperatorNotice::AccountError(error)),
            Item::Other(field) => self.notices.push(OperatorNotice::Other(field)),
            Item::Unattributable(item) => self.unattributable.push((item.lack, item.raw)),
        }
    }
}

/// An item that names no number is taken as ours: Meta signed the body for us, and losing a message would be
/// worse.
fn is_for_another(item: &Item, ours: &str) -> bool {
    let number = match item {
        Item::Message(message) => &message.phone_number_id,
        Item::Status(status) => &status.phone_number_id,
        Item::AccountError(error) => &error.phone_number_id,
        Item::Unattributable(item) => &item.phone_number_id,
        Item::Other(_) => &None,
    };
    number.as_deref().is_some_and(|number| number != ours)
}

fn received(message: InboundMessage, keys: &Keys, now: DateTime<Utc>) -> MessageReceived {
    let id = MessageReceived::id_for(&message.wamid, &message.content);
    let user = keys.user_ids.user_of(&message.address);
    let binding = Binding { message: id, user };
    MessageReceived {
        id,
        user,
        address: message.address,
        wa_user_id: message.wa_user_id,
        name: message.name,
        wamid: message.wamid,
        sent_at: message.sent_at.unwrap_or(now),
        content: keys.without_pins(binding, message.content),
        context: message.context,
        referral: message.referral,
        group: message.group,
    }
}

fn reported(status: Status, keys: &Keys, now: DateTime<Utc>) -> DeliveryReported {
    DeliveryReported {
        user: user_of(&status, keys),
        delivery: status.delivery(),
        wamid: status.wamid,
        state: status.state,
        status: status.status,
        at: status.at.unwrap_or(now),
        error: status.errors.into_iter().next().map(|error| ReportedError {
            code: error.code,
            title: error.title,
        }),
    }
}

/// The recipient. A failed status may name none, but events are ordered by user: then the message's id is taken in
/// place of the user's, so that all reports on one message stay in order. `outbound` finds the delivery by its ids, not
/// by this user.
fn user_of(status: &Status, keys: &Keys) -> UserId {
    match &status.recipient {
        Some(recipient) => keys.user_ids.user_of(recipient),
        None => UserId::in_place_of(MessageId::derived_from(status.wamid.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use claw_domain::{Address, DeliveryState, PhoneNumber};
    use claw_seal::SealingKey;
    use claw_testkit::{user_id_key, user_of};
    use claw_whatsapp::webhook::parse;
    use serde_json::json;

    use super::*;

    const OURS: &str = "1055";

    #[test]
    fn messages_and_statuses_become_events_in_meta_s_order() {
        let intake = taken_in(&[
            (
                OURS,
                json!({"messages": [text("wamid.A", "15550000001"), text("wamid.B", "15550000001")]}),
            ),
            (
                OURS,
                json!({"statuses": [{"id": "wamid.C", "status": "read", "recipient_id": "15550000001"}]}),
            ),
        ]);

        let wamids: Vec<&str> = intake.facts.iter().map(wamid_of).collect();
        assert_eq!(wamids, ["wamid.A", "wamid.B", "wamid.C"]);
        let phone = PhoneNumber::try_from("+15550000001").unwrap();
        assert_eq!(users_of(&intake), [user_of(&Address::Phone(phone)); 3]);
    }

    #[test]
    fn items_for_another_number_are_only_counted() {
        let intake = taken_in(&[
            (
                "2000",
                json!({"messages": [text("wamid.A", "15550000001")]}),
            ),
            (OURS, json!({"messages": [text("wamid.B", "15550000001")]})),
        ]);

        assert_eq!(intake.for_others, 1);
        assert_eq!(intake.facts.len(), 1);
    }

    #[test]
    fn a_message_that_names_no_number_is_taken_as_ours() {
        let body = json!({"object": "whatsapp_business_account", "entry": [{"changes": [
            {"field": "messages", "value": {"messages": [text("wamid.A", "15550000001")]}},
        ]}]});

        let intake = Intake::of(
            parse(body.to_string().as_bytes()).unwrap(),
            OURS,
            &keys(),
            now(),
        );

        assert_eq!((intake.facts.len(), intake.for_others), (1, 0));
    }

    #[test]
    fn a_status_without_a_recipient_gets_a_user_derived_from_its_message() {
        let failed = json!({"statuses": [{"id": "wamid.A", "status": "failed", "errors": [{"code": 131_026}]}]});

        let intake = taken_in(&[(OURS, failed)]);

        let in_place = UserId::in_place_of(MessageId::derived_from("wamid.A"));
        assert_eq!(users_of(&intake), [in_place]);
        assert!(matches!(
            &intake.facts[0],
            Fact::Status(report) if report.state == Some(DeliveryState::Failed)
                && report.error.as_ref().is_some_and(|error| error.code == 131_026)
        ));
    }

    #[test]
    fn a_message_without_a_time_gets_the_time_of_its_arrival() {
        let intake = taken_in(&[(OURS, json!({"messages": [text("wamid.A", "15550000001")]}))]);

        assert!(matches!(&intake.facts[0], Fact::Message(message) if message.sent_at == now()));
    }

    #[test]
    fn a_message_without_a_sender_becomes_a_dead_letter_and_the_others_are_published() {
        let without_sender = json!({"id": "wamid.A", "type": "text", "text": {"body": "hi"}});

        let intake = taken_in(&[(
            OURS,
            json!({"messages": [without_sender, text("wamid.B", "15550000001")]}),
        )]);

        assert!(matches!(&intake.unattributable[..], [(Lack::Sender, _)]));
        assert_eq!(intake.facts.len(), 1);
    }

    #[test]
    fn account_errors_become_notices() {
        let intake = taken_in(&[(
            OURS,
            json!({"errors": [{"code": 130_429, "title": "slow down"}]}),
        )]);

        assert!(
            matches!(&intake.notices[..], [OperatorNotice::AccountError(error)] if error.error.code == 130_429)
        );
    }

    fn taken_in(values: &[(&str, Value)]) -> Intake {
        let changes: Vec<Value> = values
            .iter()
            .map(|(number, value)| {
                let mut value = value.clone();
                value["metadata"] = json!({"phone_number_id": number});
                json!({"field": "messages", "value": value})
            })
            .collect();
        let body = json!({"object": "whatsapp_business_account", "entry": [{"changes": changes}]});
        Intake::of(
            parse(body.to_string().as_bytes()).unwrap(),
            OURS,
            &keys(),
            now(),
        )
    }

    fn text(wamid: &str, from: &str) -> Value {
        json!({"id": wamid, "from": from, "type": "text", "text": {"body": "hi"}})
    }

    fn wamid_of(fact: &Fact) -> &str {
        match fact {
            Fact::Message(message) => message.wamid.as_str(),
            Fact::Status(report) => report.wamid.as_str(),
        }
    }

    fn users_of(intake: &Intake) -> Vec<UserId> {
        intake
            .facts
            .iter()
            .map(|fact| match fact {
                Fact::Message(message) => message.user,
                Fact::Status(report) => report.user,
            })
            .collect()
    }

    fn keys() -> Keys {
        Keys {
            user_ids: user_id_key(),
            pins: SealingKey::parse(&"1".repeat(64)).unwrap(),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }
}
