use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::StatusPlan;

/// Faults to inject, settable at run time. A field that a change leaves out keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetaFaults {
    /// Sends to refuse; the first match applies, and an entry is dropped when it is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Vec<Refusal>>,
    /// How many of the next sends are accepted but never answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hang: Option<u64>,
    /// How many of the next sends are accepted, and then have their connection cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<u64>,
    /// How many of the next sends have their connection cut before they are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_before: Option<u64>,
    /// Milliseconds by which every Graph answer is delayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// A new plan for the statuses of later sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<StatusPlan>,
}

/// Refuses sends with a Graph error code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The Graph error code.
    pub code: i64,
    /// How many sends are refused; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The recipient's digits, with or without `+`; any recipient when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// The fault injected into one send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injection {
    None,
    /// Refuse the send with this code.
    Refuse(i64),
    /// Accept the send and never answer.
    Hang,
    /// Accept the send, then cut the connection.
    CutAfter,
    /// Cut the connection without accepting the send.
    CutBefore,
}

/// The faults currently set.
#[derive(Debug, Default)]
pub(crate) struct FaultInjector(Mutex<MetaFaults>);

impl FaultInjector {
    pub(crate) fn change(&self, change: MetaFaults) {
        let mut now = self.0.lock();
        now.answers = change.answers.or(now.answers.take());
        now.hang = change.hang.or(now.hang);
        now.cut = change.cut.or(now.cut);
        now.cut_before = change.cut_before.or(now.cut_before);
        now.latency_ms = change.latency_ms.or(now.latency_ms);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = MetaFaults::default();
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.0
            .lock()
            .latency_ms
            .filter(|&ms| ms > 0)
            .map(Duration::from_millis)
    }

    /// The fault for a send to `number`; counts it as used.
    pub(crate) fn inject(&self, number: &str) -> Injection {
        let mut faults = self.0.lock();
        if let Some(code) = refusal(&mut faults, number) {
            return Injection::Refuse(code);
        }
        if take(&mut faults.cut_before) {
            return Injection::CutBefore;
        }
        if take(&mut faults.cut) {
            return Injection::CutAfter;
        }
        if take(&mut faults.hang) {
            return Injection::Hang;
        }
        Injection::None
    }
}

fn refusal(faults: &mut MetaFaults, number: &str) -> Option<i64> {
    let answers = faults.answers.as_mut()?;
    let index = answers.iter().position(|answer| answer.is_for(number))?;
    let answer = &mut answers[index];
    let code = answer.code;
    if let Some(times) = &mut answer.times {
        *times -= 1;
        if *times == 0 {
            answers.remove(index);
        }
    }
    Some(code)
}

impl Refusal {
    fn is_for(&self, number: &str) -> bool {
        self.times != Some(0)
            && self
                .number
                .as_deref()
                .is_none_or(|only| only.trim_start_matches('+') == number)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_applies_to_its_number_and_only_as_often_as_set() {
        let faults = FaultInjector::default();
        faults.change(MetaFaults {
            answers: Some(vec![Refusal {
                code: 131_056,
                times: Some(2),
                number: Some("+4915".to_owned()),
            }]),
            hang: Some(1),
            ..MetaFaults::default()
        });

        assert_eq!(faults.inject("4915"), Injection::Refuse(131_056));
        assert_eq!(faults.inject("4916"), Injection::Hang);
        assert_eq!(faults.inject("4915"), Injection::Refuse(131_056));
        assert_eq!(faults.inject("4915"), Injection::None);
    }
}
