mod heartbeats;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use claw_domain::{SleepPolicy, UserId, WakeReason};

use crate::Preferences;

/// Shortest sleep that is worth a start, which takes about 8 CPU seconds.
const SHORTEST_SLEEP: TimeDelta = TimeDelta::minutes(3);

/// How long a due job may take to begin, and to be listed as running.
const BEGINNING: TimeDelta = TimeDelta::seconds(5);

/// A job that is due, or runs, for this long keeps nobody awake: it is stuck.
const STUCK_AFTER: TimeDelta = TimeDelta::hours(1);

/// The time after midnight (UTC) over which the wakes are spread that had to wait for the day's end.
const AFTER_MIDNIGHT: TimeDelta = TimeDelta::hours(1);

/// When to decide again on a sandbox that does not sleep by policy: the policy may have changed.
const POLICY_PAUSE: TimeDelta = TimeDelta::minutes(10);

/// What decides whether an idle sandbox sleeps, and when it must be ready again.
#[derive(Debug, Clone)]
pub struct Agenda {
    /// Whose sandbox it is.
    pub user: UserId,
    /// Whether the sandbox may sleep, and what may wake it.
    pub policy: SleepPolicy,
    /// The jobs of its assistant, without the heartbeat.
    pub jobs: Vec<PlannedJob>,
    /// When the next heartbeat is due; `None` if heartbeats are off.
    pub heartbeat: Option<DateTime<Utc>>,
    /// The user's time zone, quiet hours, and whether they want to be written to.
    pub preferences: Preferences,
    /// When the user last wrote.
    pub last_written: Option<DateTime<Utc>>,
    /// How often today (UTC) the sandbox was woken for a job, one-time reminders included, or kept awake for a repeating
    /// job.
    pub job_wakes: u32,
}

/// A job that an assistant has planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedJob {
    /// What kind of job it is.
    pub kind: JobKind,
    /// When it runs next, or since when it runs.
    pub at: DateTime<Utc>,
}

/// The kinds of jobs that are treated differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// It runs once, as a reminder does.
    Once,
    /// It runs again and again.
    Repeating,
    /// It is running, whether it repeats or not.
    Running,
}

/// How often a sandbox wakes by itself within a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeLimits {
    /// The number of wakes for jobs, after which those that repeat wake it no more.
    pub jobs_per_day: u32,
    /// The most wakes for heartbeats.
    pub heartbeats_per_day: u32,
}

/// The decision on an idle sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It stays awake. Decide again at this time.
    Awake {
        /// When to decide again.
        until: DateTime<Utc>,
        /// The job it stays awake for counts towards the day's limit.
        counts: bool,
    },
    /// It sleeps until it is requested, or until the time of the need, if there is one.
    Asleep(Option<Need>),
}

/// A time at which a sandbox has to be ready without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// When it has to be ready.
    pub at: DateTime<Utc>,
    /// What the sandbox is needed for.
    pub reason: WakeReason,
}

/// Decides whether a sandbox that nobody uses at `now` sleeps, and until when.
pub fn rest(agenda: &Agenda, limits: WakeLimits, now: DateTime<Utc>) -> Rest {
    if agenda.policy == SleepPolicy::AlwaysOn {
        return Rest::Awake {
            until: now + POLICY_PAUSE,
            counts: false,
        };
    }
    let jobs = agenda.jobs.iter();
    let next = jobs
        .filter_map(|job| Some((needed_at(*job, agenda, limits, now)?, job.kind)))
        .min_by_key(|(at, _)| *at);
    let job = match next {
        Some((at, kind)) if at - now < SHORTEST_SLEEP => {
            return Rest::Awake {
                until: at.max(now) + BEGINNING,
                counts: kind == JobKind::Repeating,
            };
        }
        Some((at, _)) => Some(Need {
            at,
            reason: WakeReason::Job,
        }),
        None => None,
    };
    let heartbeat = heartbeats::next(agenda, limits.heartbeats_per_day, now + SHORTEST_SLEEP);
    let heartbeat = heartbeat.map(|at| Need {
        at,
        reason: WakeReason::Heartbeat,
    });
    Rest::Asleep(
        [job, heartbeat]
            .into_iter()
            .flatten()
            .min_by_key(|need| need.at),
    )
}

/// When a job needs the sandbox; `None` if it has to do without.
fn needed_at(
    job: PlannedJob,
    agenda: &Agenda,
    limits: WakeLimits,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if job.at < now - STUCK_AFTER {
        return None;
    }
    let wakes = agenda.policy == SleepPolicy::Sleep;
    match job.kind {
        JobKind::Running => Some(now),
        JobKind::Once => wakes.then_some(job.at),
        JobKind::Repeating if limits.jobs_per_day == 0 => None,
        JobKind::Repeating if agenda.job_wakes < limits.jobs_per_day => wakes.then_some(job.at),
        // The day's wakes are used up.
        JobKind::Repeating => wakes.then(|| on_a_later_day(job.at, agenda.user, now)),
    }
}

/// When a job wakes a sandbox that has had its wakes of the day: at its time on a later day, or early on the next one, at
/// other times for each user so that not all wake at once.
fn on_a_later_day(at: DateTime<Utc>, user: UserId, now: DateTime<Utc>) -> DateTime<Utc> {
    let midnight = next_utc_midnight(now);
    if at < midnight {
        midnight + share_of(user, AFTER_MIDNIGHT)
    } else {
        at
    }
}

/// A part of this time, in whole seconds: the same for a user always, and evenly distributed among users.
fn share_of(user: UserId, whole: TimeDelta) -> TimeDelta {
    let seconds = u128::from(whole.num_seconds().max(1).unsigned_abs());
    let share = user.as_uuid().as_u128() % seconds;
    TimeDelta::seconds(i64::try_from(share).unwrap_or_default())
}

/// When the day ends by which wakes for jobs are counted.
fn next_utc_midnight(now: DateTime<Utc>) -> DateTime<Utc> {
    let tomorrow = now.date_naive().checked_add_days(Days::new(1));
    tomorrow.map_or(now, |day| day.and_time(NaiveTime::MIN).and_utc())
}
