//! Tells from repeated looks which sandboxes have stopped answering. Pure.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use claw_domain::SandboxId;
use claw_store::SandboxStart;

/// Looks in a row that a sandbox must leave unanswered before it counts as silent, over at least [`SILENT_AFTER`]: an
/// OpenClaw that is merely busy answers one of them.
const SILENT_LOOKS: u32 = 3;
const SILENT_AFTER: Duration = Duration::from_mins(1);

/// How long a sandbox must have answered every look before its earlier failures no longer count.
const STEADY_AFTER: Duration = Duration::from_mins(10);

/// The results of the liveness probes (looks) of ready sandboxes.
#[derive(Debug, Default)]
pub struct Liveness {
    runs: HashMap<SandboxId, Run>,
}

/// Looks in a row with the same result.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: SandboxStart,
    has_answered: bool,
    first: DateTime<Utc>,
    latest: DateTime<Utc>,
    looks: u32,
}

impl Liveness {
    /// Records a look at this time.
    pub fn record(&mut self, start: SandboxStart, has_answered: bool, now: DateTime<Utc>) {
        let new = Run {
            start,
            has_answered,
            first: now,
            latest: now,
            looks: 0,
        };
        let run = self.runs.entry(start.sandbox).or_insert(new);
        if run.start != start || run.has_answered != has_answered {
            *run = new;
        }
        run.latest = now;
        run.looks = run.looks.saturating_add(1);
    }

    /// Whether the sandbox has left the latest looks unanswered for so long that it must be started over.
    pub fn is_silent(&self, start: SandboxStart) -> bool {
        self.run(start).is_some_and(|run| {
            !run.has_answered && run.looks >= SILENT_LOOKS && run.lasts(SILENT_AFTER)
        })
    }

    /// Whether the sandbox has answered for so long that its earlier failures no longer count.
    pub fn is_steady(&self, start: SandboxStart) -> bool {
        self.run(start)
            .is_some_and(|run| run.has_answered && run.lasts(STEADY_AFTER))
    }

    /// Forgets the sandboxes that are not among `ready`.
    pub fn retain(&mut self, ready: &[SandboxStart]) {
        let ready: HashMap<_, _> = ready.iter().map(|start| (start.sandbox, *start)).collect();
        self.runs
            .retain(|sandbox, run| ready.get(sandbox) == Some(&run.start));
    }

    fn run(&self, start: SandboxStart) -> Option<&Run> {
        self.runs
            .get(&start.sandbox)
            .filter(|run| run.start == start)
    }
}

impl Run {
    fn lasts(&self, limit: Duration) -> bool {
        let lasted = (self.latest - self.first).to_std();
        lasted.is_ok_and(|lasted| lasted >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_silent_after_three_unanswered_looks_over_a_minute() {
        let cases: [(&[i64], bool); 4] = [
            (&[0, 60], false),
            (&[0, 15, 30, 45, 59], false),
            (&[0, 30, 60], true),
            (&[0, 15, 30, 45, 60, 75], true),
        ];
        for (looks, expected) in cases {
            let mut liveness = Liveness::default();
            for seconds in looks {
                liveness.record(start(1), false, at(*seconds));
            }

            assert_eq!(liveness.is_silent(start(1)), expected, "{looks:?}");
        }
    }

    #[test]
    fn an_answer_or_another_start_begins_the_count_again() {
        let mut liveness = Liveness::default();
        for seconds in [0, 30] {
            liveness.record(start(1), false, at(seconds));
        }
        liveness.record(start(1), true, at(45));
        for seconds in [60, 90] {
            liveness.record(start(1), false, at(seconds));
        }
        assert!(!liveness.is_silent(start(1)));

        liveness.record(start(1), false, at(120));
        assert!(liveness.is_silent(start(1)));

        liveness.record(start(2), false, at(135));
        assert!(!liveness.is_silent(start(1)) && !liveness.is_silent(start(2)));
    }

    #[test]
    fn a_sandbox_is_steady_after_ten_minutes_of_answers() {
        let mut liveness = Liveness::default();
        liveness.record(start(1), true, at(0));
        liveness.record(start(1), true, at(599));
        assert!(!liveness.is_steady(start(1)));

        liveness.record(start(1), true, at(600));
        assert!(liveness.is_steady(start(1)));

        liveness.retain(&[]);
        assert!(!liveness.is_steady(start(1)));
    }

    fn start(start: u32) -> SandboxStart {
        let sandbox = SandboxId::derived_from("s");
        SandboxStart { sandbox, start }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds)
    }
}
