use std::{sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};

use super::StatusPlan;

/// What should go wrong, settable at run time. A field left out of a change stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Sends refused with a code, first match first; entries used up are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Vec<Answer>>,
    /// The next so many sends are taken, but never answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hang: Option<u64>,
    /// The next so many sends are taken, and then the connection is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<u64>,
    /// The next so many sends are not taken: the connection is cut before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_before: Option<u64>,
    /// Milliseconds every Graph answer takes longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// A new plan for the statuses of later sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<StatusPlan>,
}

/// Refuses sends with a code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The Graph error code.
    pub code: i64,
    /// How many sends; all from now on when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Only sends to this number (digits, `+` allowed); to everyone when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// What befalls one send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Answered,
    /// Refused with this code.
    Refused(i64),
    /// Taken, never answered.
    Hung,
    /// Taken, then the connection is cut.
    CutAfter,
    /// The connection is cut, nothing taken.
    CutBefore,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct FaultBox(Mutex<Faults>);

impl FaultBox {
    pub(crate) fn change(&self, change: Faults) {
        let mut now = self.0.lock().expect("no fault panics");
        now.answers = change.answers.or(now.answers.take());
        now.hang = change.hang.or(now.hang);
        now.cut = change.cut.or(now.cut);
        now.cut_before = change.cut_before.or(now.cut_before);
        now.latency_ms = change.latency_ms.or(now.latency_ms);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().expect("no fault panics") = Faults::default();
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        let faults = self.0.lock().expect("no fault panics");
        faults
            .latency_ms
            .filter(|&ms| ms > 0)
            .map(Duration::from_millis)
    }

    /// Decides about a send to `number` and uses up what it takes.
    pub(crate) fn fate_of(&self, number: &str) -> Fate {
        let mut faults = self.0.lock().expect("no fault panics");
        if let Some(code) = refusal(&mut faults, number) {
            return Fate::Refused(code);
        }
        if take(&mut faults.cut_before) {
            return Fate::CutBefore;
        }
        if take(&mut faults.cut) {
            return Fate::CutAfter;
        }
        if take(&mut faults.hang) {
            return Fate::Hung;
        }
        Fate::Answered
    }
}

fn refusal(faults: &mut Faults, number: &str) -> Option<i64> {
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

impl Answer {
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
    fn a_code_hits_only_its_number_and_only_so_often() {
        let faults = FaultBox::default();
        faults.change(Faults {
            answers: Some(vec![Answer {
                code: 131_056,
                times: Some(2),
                number: Some("+4915".to_owned()),
            }]),
            hang: Some(1),
            ..Faults::default()
        });

        assert_eq!(faults.fate_of("4915"), Fate::Refused(131_056));
        assert_eq!(faults.fate_of("4916"), Fate::Hung);
        assert_eq!(faults.fate_of("4915"), Fate::Refused(131_056));
        assert_eq!(faults.fate_of("4915"), Fate::Answered);
    }
}
