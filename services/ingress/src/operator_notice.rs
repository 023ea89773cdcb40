use claw_bus::Publisher;
use claw_events::OperatorEvent;
use claw_metrics::{WHATSAPP_ACCOUNT_ERRORS, WHATSAPP_ACCOUNT_UPDATES};
use claw_whatsapp::webhook::AccountError;
use serde_json::Value;
use tracing::info;

use crate::intake::OperatorNotice;

/// The keys of a field's JSON that are logged: names and states of our own account, number and templates.
/// Everything else may be about people.
const LOGGED_KEYS: [&str; 16] = [
    "ban_info",
    "ban_state",
    "current_limit",
    "decision",
    "entity_type",
    "event",
    "expiration",
    "message_template_language",
    "message_template_name",
    "new_quality_score",
    "old_limit",
    "previous_quality_score",
    "reason",
    "restriction_info",
    "restriction_type",
    "waba_ban_state",
];

/// Deepest level searched for these keys: the update, its list of restrictions, a restriction's fields.
const DEPTH: usize = 4;

/// Counts a notice, and tells the operator if it may need action.
pub(crate) async fn report(publisher: &Publisher, notice: &OperatorNotice) {
    let event = match notice {
        OperatorNotice::AccountError(account) => {
            WHATSAPP_ACCOUNT_ERRORS.increment([]);
            let AccountError { error, .. } = account;
            OperatorEvent::WhatsappAccountChanged {
                field: "errors".to_owned(),
                details: format!(
                    "code={} title={:?}",
                    error.code,
                    error.title.as_deref().unwrap_or_default()
                ),
            }
        }
        OperatorNotice::Other(other) => {
            WHATSAPP_ACCOUNT_UPDATES.increment([other.field]);
            if !may_stop_reminders(other.field) && !other.is_alarming() {
                info!(
                    webhook.field = other.field,
                    "Meta sent {}, which needs no action", other.field
                );
                return;
            }
            OperatorEvent::WhatsappAccountChanged {
                field: other.field.to_owned(),
                details: logged_values(other.value.expose()),
            }
        }
    };
    publisher.tell_operator(&event).await;
}

/// Whether the update may mean that a template, and with it reminders, can no longer be sent.
fn may_stop_reminders(field: &str) -> bool {
    matches!(
        field,
        "message_template_status_update"
            | "message_template_quality_update"
            | "template_category_update"
            | "account_review_update"
    )
}

fn logged_values(value: &Value) -> String {
    let mut values = Vec::new();
    collect(value, DEPTH, &mut values);
    values.join(" ")
}

fn collect(value: &Value, depth: usize, values: &mut Vec<String>) {
    match value {
        Value::Object(object) if depth > 0 => {
            for (name, value) in object
                .iter()
                .filter(|(name, _)| LOGGED_KEYS.contains(&name.as_str()))
            {
                match value {
                    Value::Object(_) | Value::Array(_) => collect(value, depth - 1, values),
                    Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {
                        values.push(format!("{name}={value}"));
                    }
                }
            }
        }
        Value::Array(items) if depth > 0 => {
            for item in items {
                collect(item, depth - 1, values);
            }
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::String(_)
        | Value::Number(_)
        | Value::Bool(_)
        | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_account_s_state_is_logged_and_phone_numbers_are_not() {
        let value = json!({
            "event": "ACCOUNT_RESTRICTION",
            "phone_number": "15550000001",
            "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}],
            "contacts": [{"event": "15550000001"}],
        });

        assert_eq!(
            logged_values(&value),
            "event=\"ACCOUNT_RESTRICTION\" restriction_type=\"RESTRICTED_ADD_PHONE_NUMBER_ACTION\""
        );
    }
}
