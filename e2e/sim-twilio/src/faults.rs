use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// What should go wrong, settable at run time. A field left out of a change stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The next so many webhooks are delivered twice at once, under one idempotency token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twice: Option<u64>,
    /// The answers to the next so many webhooks are lost; they are tried again under the same
    /// idempotency token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lose_answers: Option<u64>,
    /// Milliseconds every webhook sets off later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The next so many status callbacks are never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lose_statuses: Option<u64>,
    /// The next so many status callbacks are sent twice, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_statuses: Option<u64>,
    /// Whether the status callbacks of a call are kept until its end and come last first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverse_statuses: Option<bool>,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct FaultBox(Mutex<Faults>);

impl FaultBox {
    pub(crate) fn change(&self, change: &Faults) {
        let mut now = self.0.lock().expect("no fault panics");
        *now = Faults {
            twice: change.twice.or(now.twice),
            lose_answers: change.lose_answers.or(now.lose_answers),
            delay_ms: change.delay_ms.or(now.delay_ms),
            lose_statuses: change.lose_statuses.or(now.lose_statuses),
            repeat_statuses: change.repeat_statuses.or(now.repeat_statuses),
            reverse_statuses: change.reverse_statuses.or(now.reverse_statuses),
        };
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().expect("no fault panics") = Faults::default();
    }

    pub(crate) fn now(&self) -> Faults {
        self.0.lock().expect("no fault panics").clone()
    }

    pub(crate) fn take_twice(&self) -> bool {
        take(&mut self.0.lock().expect("no fault panics").twice)
    }

    pub(crate) fn take_lost_answer(&self) -> bool {
        take(&mut self.0.lock().expect("no fault panics").lose_answers)
    }

    pub(crate) fn take_lost_status(&self) -> bool {
        take(&mut self.0.lock().expect("no fault panics").lose_statuses)
    }

    pub(crate) fn take_repeated_status(&self) -> bool {
        take(&mut self.0.lock().expect("no fault panics").repeat_statuses)
    }
}

fn take(left: &mut Option<u64>) -> bool {
    match left {
        Some(n) if *n > 0 => {
            *n -= 1;
            true
        }
        _ => false,
    }
}
