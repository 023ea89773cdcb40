use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Faults to inject, settable at run time. A field that a change leaves out keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TwilioFaults {
    /// How many of the next webhooks are delivered twice at once, with one idempotency token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twice: Option<u64>,
    /// How many of the next webhooks have their answer lost; they are retried with the same idempotency
    /// token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lose_answers: Option<u64>,
    /// Milliseconds by which every webhook is delayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How many of the next status callbacks are never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lose_statuses: Option<u64>,
    /// How many of the next status callbacks are sent twice, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_statuses: Option<u64>,
    /// Whether the status callbacks of a call are held until its end and then sent in reverse order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverse_statuses: Option<bool>,
}

/// The faults currently set.
#[derive(Debug, Default)]
pub(crate) struct FaultInjector(Mutex<TwilioFaults>);

impl FaultInjector {
    pub(crate) fn change(&self, change: &TwilioFaults) {
        let mut now = self.0.lock();
        *now = TwilioFaults {
            twice: change.twice.or(now.twice),
            lose_answers: change.lose_answers.or(now.lose_answers),
            delay_ms: change.delay_ms.or(now.delay_ms),
            lose_statuses: change.lose_statuses.or(now.lose_statuses),
            repeat_statuses: change.repeat_statuses.or(now.repeat_statuses),
            reverse_statuses: change.reverse_statuses.or(now.reverse_statuses),
        };
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = TwilioFaults::default();
    }

    pub(crate) fn now(&self) -> TwilioFaults {
        self.0.lock().clone()
    }

    pub(crate) fn take_twice(&self) -> bool {
        take(&mut self.0.lock().twice)
    }

    pub(crate) fn take_lost_answer(&self) -> bool {
        take(&mut self.0.lock().lose_answers)
    }

    pub(crate) fn take_lost_status(&self) -> bool {
        take(&mut self.0.lock().lose_statuses)
    }

    pub(crate) fn take_repeated_status(&self) -> bool {
        take(&mut self.0.lock().repeat_statuses)
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
