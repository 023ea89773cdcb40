use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use claw_agent::{CallError, Job, JobList, JobSchedule};
use claw_bus::HandlerError;
use claw_chat::{Agenda, JobKind, Need, PlannedJob, Rest, rest};
use claw_domain::{Backoff, SandboxStatus, WakeReason};
use claw_events::SandboxIdle;
use claw_metrics::{SLEEPS, WAKES};
use claw_store::{Sandbox, SandboxStart};
use rand::random;
use tokio::time::Instant;
use tracing::{info, warn};

use super::UserActor;
use crate::turn::retry;

/// How long a sandbox that woke by itself stays awake after its assistant has written, or had nothing to write.
const AWAKE_AFTER_WAKE: Duration = Duration::from_mins(1);

/// How soon a sandbox is reported idle again that did not fall asleep: somebody may be in a call, or sandboxes of its kind
/// never sleep.
const REPORT_AGAIN: Backoff = Backoff {
    first: Duration::from_mins(1),
    longest: Duration::from_hours(1),
};

/// How soon the jobs are read again after a sandbox has not listed them.
const LIST_AGAIN_AFTER: Duration = Duration::from_mins(5);

/// The year 10,000, in milliseconds since 1970.
const LATEST_MS: i64 = 253_402_300_800_000;

/// What the assistant reads with a heartbeat that we begin.
const LOOK_AROUND: &str = "This is your regular check.";

/// What the actor knows of the rest that its sandbox may take. Losing it costs some minutes of sleep.
#[derive(Default)]
pub(super) struct RestState {
    /// The start in which the sandbox is ready; the rest of this state is about it.
    start: Option<SandboxStart>,
    /// How soon it sleeps when nobody uses it.
    pace: Pace,
    /// A heartbeat is to be begun.
    wants_heartbeat: bool,
    /// The wake has been counted for a job that may still be ahead: some sandboxes start early.
    has_counted: bool,
    /// When the sandbox was seen to be ready, or something was last said.
    active_at: Option<Instant>,
    /// It was reported idle: it may fall asleep at any time.
    is_reported: bool,
    /// Reports since something was last said.
    reports: u32,
    /// When to decide again.
    decide_at: Option<Instant>,
    /// Failures to list the jobs in a row.
    failures: u32,
    /// How often the sandbox has stayed awake for a repeating job, and on which day (UTC).
    kept_awake: (NaiveDate, u32),
}

/// How soon an unused sandbox sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pace {
    /// After the configured time.
    #[default]
    Usual,
    /// After a minute: it was started for a job or a heartbeat, and nobody has been answered since.
    Short,
    /// As soon as nobody needs it: the operator wants so. If it does not sleep then, until the user is next answered.
    AtOnce,
}

impl RestState {
    /// Takes note of the sandbox's row.
    pub(super) fn follow(&mut self, sandbox: Option<&Sandbox>) {
        let ready = sandbox.filter(|sandbox| sandbox.status.is_ready());
        let start = ready.map(Sandbox::current_start);
        if start == self.start {
            return;
        }
        if self.is_reported
            && sandbox.is_some_and(|sandbox| sandbox.status == SandboxStatus::Asleep)
        {
            SLEEPS.increment([]);
        }
        let woke_for = ready.and_then(|sandbox| sandbox.wake_for);
        if let Some(reason) = woke_for {
            WAKES.increment([reason.as_str()]);
        }
        *self = Self {
            start,
            pace: if woke_for.is_some() {
                Pace::Short
            } else {
                Pace::Usual
            },
            wants_heartbeat: woke_for == Some(WakeReason::Heartbeat),
            has_counted: woke_for == Some(WakeReason::Job),
            active_at: start.map(|_| Instant::now()),
            kept_awake: self.kept_awake,
            ..Self::default()
        };
    }

    /// The assistant has said something, or a message of the user is done.
    pub(super) fn note_activity(&mut self, has_answered: bool) {
        // An order to sleep is over once it was tried. Before that, the answer may belong to the turn that it waits for.
        let is_over = self.pace == Pace::Short || self.decide_at.is_some();
        if has_answered && is_over {
            self.pace = Pace::Usual;
        }
        self.active_at = Some(Instant::now());
        self.decide_at = None;
        self.reports = 0;
    }

    /// The operator wants the sandbox to sleep without delay.
    pub(super) const fn order(&mut self) {
        self.pace = Pace::AtOnce;
        self.decide_at = None;
    }

    /// Whether the sandbox may fall asleep at any time, so that its row must be read after every event.
    pub(super) const fn may_fall_asleep(&self) -> bool {
        self.is_reported
    }

    /// When to decide whether the sandbox sleeps.
    fn due(&self, sleep_after: Duration) -> Option<Instant> {
        let delay = match self.pace {
            Pace::Usual => sleep_after,
            Pace::Short => sleep_after.min(AWAKE_AFTER_WAKE),
            Pace::AtOnce => Duration::ZERO,
        };
        self.decide_at.max(Some(self.active_at? + delay))
    }

    /// Counts that the sandbox stays awake for a repeating job, unless it woke for that job.
    fn count_job(&mut self, now: DateTime<Utc>) {
        if !std::mem::take(&mut self.has_counted) {
            self.kept_awake = (now.date_naive(), self.kept_awake_on(now) + 1);
        }
    }

    /// How often the sandbox was kept awake on the day of `now` for repeating jobs.
    fn kept_awake_on(&self, now: DateTime<Utc>) -> u32 {
        let (day, times) = self.kept_awake;
        if day == now.date_naive() { times } else { 0 }
    }
}

impl UserActor {
    /// With nobody waiting, and the transcript read: reports the sandbox idle when it has been unused for long enough.
    /// Returns when to look again.
    pub(super) async fn rest(&mut self) -> Result<Option<Instant>, HandlerError> {
        if self.rest.wants_heartbeat {
            self.begin_heartbeat().await?;
        }
        let sleep_after = self.context.policy.sleep_after;
        let due = self.rest.due(sleep_after);
        if due.is_none_or(|due| Instant::now() < due) {
            return Ok(due);
        }
        // Events can get lost: a run may be active that none has announced.
        self.connection.look_at = Some(Instant::now());
        let look_at = self.read_transcript().await?;
        let due = self.rest.due(sleep_after);
        if !self.connection.is_read_to_end || due.is_none_or(|due| Instant::now() < due) {
            return Ok(Some(look_at));
        }
        self.decide_on_rest().await?;
        Ok(self.rest.due(sleep_after))
    }

    /// Begins the heartbeat for which the sandbox was woken, unless it has had one since it started.
    async fn begin_heartbeat(&mut self) -> Result<(), HandlerError> {
        let (_, session) = self.connect().await?;
        let begun = async {
            let agent = session.handle();
            Ok(agent.has_had_heartbeat().await? || agent.wake(LOOK_AROUND).await?)
        };
        match begun.await {
            Ok(true) => {}
            Ok(false) | Err(CallError::Refused(_)) => {
                warn!(user.id = %self.user, "a sandbox refused to begin a heartbeat");
            }
            Err(error) => return Err(retry(error)),
        }
        self.rest.wants_heartbeat = false;
        self.rest.note_activity(false);
        Ok(())
    }

    async fn decide_on_rest(&mut self) -> Result<(), HandlerError> {
        let (_, session) = self.connect().await?;
        let store = &self.context.store;
        let row = store.sandboxes().of_user(self.user).await?;
        let Some(row) = row.filter(|row| Some(row.current_start()) == self.rest.start) else {
            self.mailbox.sandbox_changed();
            return Ok(());
        };
        if store.calls().is_in_call(self.user).await? {
            self.rest.decide_at = Some(Instant::now() + REPORT_AGAIN.first);
            return Ok(());
        }
        // Without the list, a reminder could be lost.
        let list = match session.handle().jobs().await {
            Ok(list) => list,
            Err(error) => {
                self.stay_awake_without_list(&error);
                return Ok(());
            }
        };
        self.rest.failures = 0;
        let profile = store.users().profile(self.user).await?;
        let now = self.context.clock.now();
        let agenda = Agenda {
            user: self.user,
            policy: row.policy,
            jobs: planned_jobs(&list),
            heartbeat: heartbeat_of(&list),
            preferences: self.preferences_in(profile.as_ref()),
            last_written: profile.and_then(|profile| profile.last_written_at),
            job_wakes: job_wakes_on(&row, now) + self.rest.kept_awake_on(now),
        };
        match rest(&agenda, self.context.policy.wakes, now) {
            Rest::Awake { until, counts } => {
                if counts {
                    self.rest.count_job(now);
                }
                self.rest.decide_at = Some(self.instant_of(until));
                Ok(())
            }
            Rest::Asleep(need) => self.report_idle(&row, need, now).await,
        }
    }

    fn stay_awake_without_list(&mut self, error: &CallError) {
        self.rest.failures = self.rest.failures.saturating_add(1);
        if self.rest.failures.is_power_of_two() {
            warn!(
                user.id = %self.user,
                failures = self.rest.failures,
                error = error as &dyn std::error::Error,
                "a sandbox stays awake because it did not list its jobs"
            );
        }
        let pause = LIST_AGAIN_AFTER.mul_f64(random::<f64>().midpoint(1.0));
        self.rest.decide_at = Some(Instant::now() + pause);
    }

    async fn report_idle(
        &mut self,
        row: &Sandbox,
        need: Option<Need>,
        now: DateTime<Utc>,
    ) -> Result<(), HandlerError> {
        let idle = SandboxIdle {
            user: self.user,
            sandbox: row.id,
            start: row.start,
            since: now,
            needed_at: need.map(|need| need.at),
            needed_for: need.map(|need| need.reason),
        };
        // From here on a stored row that says ready may be out of date.
        self.rest.is_reported = true;
        self.context.publisher.publish(&idle).await?;
        self.rest.reports = self.rest.reports.saturating_add(1);
        let pause = REPORT_AGAIN.jittered_delay(self.rest.reports, random());
        self.rest.decide_at = Some(Instant::now() + pause);
        info!(user.id = %self.user, sandbox.id = %row.id, "sandbox {} is idle", row.id);
        Ok(())
    }
}

/// The jobs that are due at a time or run, without the heartbeat. Jobs beyond the end of a list run no earlier than its
/// last one, and one of them may be a reminder.
fn planned_jobs(list: &JobList) -> Vec<PlannedJob> {
    let jobs = list.jobs.iter();
    let mut planned: Vec<PlannedJob> = jobs
        .filter(|job| job.is_enabled && !job.is_heartbeat)
        .filter_map(planned_job)
        .collect();
    let final_job = list.jobs.last().filter(|_| list.has_more);
    planned.extend(final_job.and_then(|job| {
        Some(PlannedJob {
            kind: JobKind::Once,
            at: time_of(job.next_run_ms?)?,
        })
    }));
    planned
}

fn planned_job(job: &Job) -> Option<PlannedJob> {
    let (kind, at_ms) = match (job.running_since_ms, job.schedule) {
        (Some(since_ms), _) => (JobKind::Running, since_ms),
        (None, JobSchedule::At) => (JobKind::Once, job.next_run_ms?),
        (None, JobSchedule::Every | JobSchedule::Cron) => (JobKind::Repeating, job.next_run_ms?),
        (None, JobSchedule::Other) => return None,
    };
    let at = time_of(at_ms)?;
    Some(PlannedJob { kind, at })
}

/// When the next heartbeat is due; `None` if heartbeats are off.
fn heartbeat_of(list: &JobList) -> Option<DateTime<Utc>> {
    let mut jobs = list.jobs.iter();
    let heartbeat = jobs.find(|job| job.is_enabled && job.is_heartbeat)?;
    time_of(heartbeat.next_run_ms?)
}

/// `None` for a time at which nobody plans anything.
fn time_of(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms).filter(|_| (0..LATEST_MS).contains(&ms))
}

/// How often the sandbox was woken for jobs on the day of `now`.
fn job_wakes_on(row: &Sandbox, now: DateTime<Utc>) -> u32 {
    let is_today = row.job_wakes_since.date_naive() == now.date_naive();
    if is_today { row.job_wakes } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::tests::row;

    const SLEEP_AFTER: Duration = Duration::from_mins(10);

    #[tokio::test(start_paused = true)]
    async fn a_sandbox_that_woke_by_itself_sleeps_again_soon_unless_somebody_was_answered() {
        let mut woken = row(SandboxStatus::Ready);
        let after = |rest: &RestState| rest.due(SLEEP_AFTER).map(|due| due - Instant::now());
        let mut rest = RestState::default();
        assert_eq!(after(&rest), None, "it is not ready");

        rest.follow(Some(&woken));
        assert_eq!(after(&rest), Some(SLEEP_AFTER));
        woken.start += 1;
        woken.wake_for = Some(WakeReason::Job);
        rest.follow(Some(&woken));
        assert_eq!(after(&rest), Some(AWAKE_AFTER_WAKE));
        rest.note_activity(false);
        assert_eq!(after(&rest), Some(AWAKE_AFTER_WAKE));
        rest.note_activity(true);
        assert_eq!(after(&rest), Some(SLEEP_AFTER));
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_to_sleep_waits_for_nothing_and_ends_with_the_start() {
        let mut ready = row(SandboxStatus::Ready);
        let mut rest = RestState::default();
        rest.follow(Some(&ready));
        rest.decide_at = Some(Instant::now() + SLEEP_AFTER);

        rest.order();
        assert_eq!(rest.due(SLEEP_AFTER), Some(Instant::now()));

        ready.start += 1;
        rest.follow(Some(&ready));
        assert_eq!(rest.due(SLEEP_AFTER), Some(Instant::now() + SLEEP_AFTER));
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_to_sleep_is_over_when_the_user_is_answered_after_it_was_tried() {
        let ready = row(SandboxStatus::Ready);
        let mut rest = RestState::default();
        rest.follow(Some(&ready));
        let after = |rest: &RestState| rest.due(SLEEP_AFTER).map(|due| due - Instant::now());

        rest.order();
        rest.note_activity(true);
        assert_eq!(after(&rest), Some(Duration::ZERO), "a turn was running");
        // A job keeps it awake.
        rest.decide_at = Some(Instant::now() + Duration::from_mins(1));
        rest.note_activity(true);
        assert_eq!(after(&rest), Some(SLEEP_AFTER));
    }

    #[test]
    fn the_job_that_a_sandbox_woke_for_counts_once() {
        let mut woken = row(SandboxStatus::Ready);
        woken.wake_for = Some(WakeReason::Job);
        let (mut rest, now) = (RestState::default(), DateTime::UNIX_EPOCH);
        rest.follow(Some(&woken));

        rest.count_job(now);
        assert_eq!(rest.kept_awake_on(now), 0);
        rest.count_job(now);
        assert_eq!(rest.kept_awake_on(now), 1);
    }

    #[test]
    fn jobs_beyond_the_end_of_a_list_may_be_reminders() {
        let list = JobList {
            jobs: vec![
                job(JobSchedule::Every, Some(5_000)),
                job(JobSchedule::Other, None),
                job(JobSchedule::Cron, Some(9_000)),
            ],
            has_more: true,
        };

        let planned = planned_jobs(&list);

        let seen: Vec<_> = planned
            .iter()
            .map(|job| (job.kind, job.at.timestamp_millis()))
            .collect();
        let (repeating, once) = (JobKind::Repeating, JobKind::Once);
        assert_eq!(
            seen,
            [(repeating, 5_000), (repeating, 9_000), (once, 9_000)]
        );
    }

    #[test]
    fn times_that_nobody_plans_count_as_none() {
        for ms in [i64::MIN, i64::MAX, -1, LATEST_MS] {
            let list = JobList {
                jobs: vec![job(JobSchedule::At, Some(ms))],
                has_more: true,
            };
            assert_eq!(planned_jobs(&list), [], "{ms}");
        }
    }

    #[test]
    fn a_disabled_heartbeat_is_none() {
        let heartbeat = |is_enabled| Job {
            is_enabled,
            is_heartbeat: true,
            ..job(JobSchedule::Every, Some(5_000))
        };
        let of = |job| {
            heartbeat_of(&JobList {
                jobs: vec![job],
                has_more: false,
            })
        };

        assert_eq!(of(heartbeat(true)), DateTime::from_timestamp_millis(5_000));
        assert_eq!(of(heartbeat(false)), None);
        assert_eq!(of(job(JobSchedule::Every, Some(5_000))), None);
    }

    fn job(schedule: JobSchedule, next_run_ms: Option<i64>) -> Job {
        Job {
            id: "j".to_owned(),
            is_enabled: true,
            schedule,
            next_run_ms,
            running_since_ms: None,
            is_heartbeat: false,
        }
    }
}
