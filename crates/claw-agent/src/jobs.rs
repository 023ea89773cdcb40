use serde::Deserialize;
use serde_json::value::RawValue;

use crate::frame::{First, id, lenient};

/// Most jobs of a list that are looked at. OpenClaw lists no more at once.
pub(crate) const MOST_JOBS: usize = 200;

/// What OpenClaw calls the heartbeat's job.
const HEARTBEAT: &str = "heartbeat:main";

/// The enabled jobs that OpenClaw runs by itself, the next one to run first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobList {
    /// At most 200 jobs.
    pub jobs: Vec<Job>,
    /// Whether OpenClaw has more enabled jobs than are listed. These run no earlier than the last of `jobs`.
    pub has_more: bool,
}

/// A job that OpenClaw runs by itself: a reminder, an automation or the heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The job's id in OpenClaw.
    pub id: String,
    /// Whether it runs at all.
    pub is_enabled: bool,
    /// The kind of its schedule.
    pub schedule: JobSchedule,
    /// The time of its next run, in milliseconds since 1970.
    pub next_run_ms: Option<i64>,
    /// Since when it runs, in milliseconds since 1970.
    pub running_since_ms: Option<i64>,
    /// Whether it is the heartbeat.
    pub is_heartbeat: bool,
}

/// The kind of a job's schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobSchedule {
    /// Once, at a time.
    At,
    /// Again and again, after the same pause.
    Every,
    /// As a cron expression says.
    Cron,
    /// Something else than time, such as the end of a process.
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireList {
    jobs: First<WireJob, { MOST_JOBS + 1 }>,
    #[serde(default, deserialize_with = "lenient")]
    has_more: Option<bool>,
}

/// A job as a compact list has it, or a whole one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireJob {
    id: String,
    enabled: bool,
    #[serde(default, deserialize_with = "lenient")]
    declaration_key: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    schedule_kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    schedule: Option<WireSchedule>,
    #[serde(default)]
    next_run_at_ms: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    running_at_ms: Option<i64>,
}

#[derive(Deserialize)]
struct WireSchedule {
    kind: String,
}

impl JobList {
    /// Reads an answer to `cron.list`. `None` if any job cannot be read: it could be a reminder.
    pub(crate) fn read(answer: &RawValue) -> Option<Self> {
        let list: WireList = serde_json::from_str(answer.get()).ok()?;
        let First(mut jobs) = list.jobs;
        let has_more = list.has_more.unwrap_or(false) || jobs.len() > MOST_JOBS;
        jobs.truncate(MOST_JOBS);
        let jobs: Option<Vec<Job>> = jobs.into_iter().map(Job::of_wire).collect();
        Some(Self {
            jobs: jobs?,
            has_more,
        })
    }
}

impl Job {
    fn of_wire(wire: WireJob) -> Option<Self> {
        let of_schedule = wire.schedule.map(|schedule| schedule.kind);
        Some(Self {
            id: id(wire.id)?,
            is_enabled: wire.enabled,
            schedule: match wire.schedule_kind.or(of_schedule)?.as_str() {
                "at" => JobSchedule::At,
                "every" => JobSchedule::Every,
                "cron" => JobSchedule::Cron,
                _ => JobSchedule::Other,
            },
            next_run_ms: wire.next_run_at_ms,
            running_since_ms: wire.running_at_ms,
            is_heartbeat: wire.declaration_key.as_deref() == Some(HEARTBEAT),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::captures;

    /// Longest time to read a list of 100,000 jobs in a test build, which is twenty times slower than a release.
    const READING_LIMIT: Duration = Duration::from_secs(2);

    #[test]
    fn the_jobs_of_a_recorded_list_are_read() {
        let answers = captures::answers("agent-cron-tool", "cron.list");
        let answer = answers[0].outcome.as_ref().unwrap();

        let list = JobList::read(answer.raw()).unwrap();

        let seen: Vec<_> = list
            .jobs
            .iter()
            .map(|job| {
                (
                    job.schedule,
                    job.is_enabled,
                    job.next_run_ms,
                    job.is_heartbeat,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (JobSchedule::At, true, Some(1_795_333_098_936), false),
                (JobSchedule::Every, true, Some(1_795_639_927_023), false),
                (JobSchedule::At, false, None, false),
                (JobSchedule::Every, false, None, true),
            ]
        );
        assert!(!list.has_more);
    }

    #[test]
    fn a_list_of_a_hundred_thousand_jobs_is_read_as_the_first_of_them() {
        let job = r#"{"id":"j","enabled":true,"scheduleKind":"at","nextRunAtMs":5}"#;
        let list = format!(r#"{{"jobs":[{}]}}"#, vec![job; 100_000].join(","));
        let began = Instant::now();

        let list = read(&list).unwrap();

        assert_eq!((list.jobs.len(), list.has_more), (MOST_JOBS, true));
        assert!(began.elapsed() < READING_LIMIT, "{:?}", began.elapsed());
    }

    #[test]
    fn a_list_with_a_job_that_cannot_be_read_is_no_list() {
        let good = r#"{"id":"j","enabled":true,"schedule":{"kind":"at"},"runningAtMs":7}"#;
        let long = "x".repeat(300);
        let long_id = format!(r#"{{"id":"{long}","enabled":true,"scheduleKind":"at"}}"#);

        assert!(read(&format!(r#"{{"jobs":[{good}]}}"#)).is_some());
        for bad in [
            r#"{"id":"j","enabled":true}"#,
            r#"{"id":"j","enabled":true,"scheduleKind":"at","nextRunAtMs":"soon"}"#,
            r#"{"enabled":true,"scheduleKind":"at"}"#,
            "7",
            long_id.as_str(),
        ] {
            assert_eq!(
                read(&format!(r#"{{"jobs":[{good},{bad}]}}"#)),
                None,
                "{bad}"
            );
        }
        for nonsense in ["null", "{}", r#"{"jobs":7}"#] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    fn read(text: &str) -> Option<JobList> {
        JobList::read(serde_json::from_str(text).unwrap())
    }
}
