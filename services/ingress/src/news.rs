use serde_json::Value;
use tracing::{info, warn};

use crate::intake::News;

/// What of a field's JSON goes into the log: names and states of our own account, number and templates.
/// Everything else stays out, for it may be about people.
const FACTS: [&str; 16] = [
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

/// Deepest level looked into: an update, its restrictions, each restriction.
const DEPTH: usize = 4;

/// Counts the news and tells the operator.
pub(crate) fn tell(news: &News) {
    match news {
        News::AccountError(account) => {
            metrics::counter!("ingress_account_errors_total").increment(1);
            warn!(
                error.code = account.error.code,
                error.title = account.error.title.as_deref().unwrap_or_default(),
                "Meta reports trouble with our WhatsApp number",
            );
        }
        News::Other(other) => {
            metrics::counter!("ingress_fields_total", "field" => other.field).increment(1);
            let facts = facts_of(other.value.expose());
            if is_worth_a_warning(other.field) || other.is_alarming() {
                warn!(
                    webhook.field = other.field,
                    "Meta says {}: {facts}", other.field
                );
            } else {
                info!(
                    webhook.field = other.field,
                    "Meta says {}: not acted upon", other.field
                );
            }
        }
    }
}

/// A template that may no longer be sent stops reminders.
fn is_worth_a_warning(field: &str) -> bool {
    matches!(
        field,
        "message_template_status_update"
            | "message_template_quality_update"
            | "template_category_update"
            | "account_review_update"
    )
}

fn facts_of(value: &Value) -> String {
    let mut facts = Vec::new();
    collect(value, DEPTH, &mut facts);
    facts.join(" ")
}

fn collect(value: &Value, depth: usize, facts: &mut Vec<String>) {
    match value {
        Value::Object(object) if depth > 0 => {
            for (name, value) in object
                .iter()
                .filter(|(name, _)| FACTS.contains(&name.as_str()))
            {
                match value {
                    Value::Object(_) | Value::Array(_) => collect(value, depth - 1, facts),
                    Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {
                        facts.push(format!("{name}={value}"));
                    }
                }
            }
        }
        Value::Array(items) if depth > 0 => {
            for item in items {
                collect(item, depth - 1, facts);
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
    fn the_log_holds_the_accounts_state_and_nobodys_number() {
        let value = json!({
            "event": "ACCOUNT_RESTRICTION",
            "phone_number": "15550000001",
            "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}],
            "contacts": [{"event": "15550000001"}],
        });

        assert_eq!(
            facts_of(&value),
            "event=\"ACCOUNT_RESTRICTION\" restriction_type=\"RESTRICTED_ADD_PHONE_NUMBER_ACTION\""
        );
    }
}
