use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{SandboxId, SandboxStatus, SleepPolicy, UserId, WakeReason};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, sea_query::Expr,
};

use super::{
    Host, Sandbox, SandboxStart, Sandboxes, is_of,
    request::waiting,
    states::{startable, with_place},
};
use crate::{
    StoreError,
    database::{columns, read, statement},
    entity::sandbox::{Column, Entity, Model},
    suspensions::is_suspended,
};

const FALL_ASLEEP: &str = include_str!("../sql/fall_asleep.sql");
/// The SQL condition that a sandbox sleeps and is to wake for a job.
pub(super) const IS_JOB: &str = include_str!("../sql/is_job.sql");
const AWAITED: &str = include_str!("../sql/awaited.sql");
static WAKE_DUE: LazyLock<String> = LazyLock::new(|| {
    include_str!("../sql/wake_due.sql")
        .replace("{sandbox}", &columns::<Entity>("s"))
        .replace("{due}", &due("$5", "$6", "id = ANY ($3::uuid[])", "$2"))
        .replace("{waiting}", &waiting("$6"))
        .replace("{is_job}", IS_JOB)
});
static COUNT_DUE: LazyLock<String> = LazyLock::new(|| {
    let due = due("$1", "$2", "wake_at <= $3", "$3");
    format!("SELECT count(*) AS due FROM sandbox WHERE {due}")
});
static SLEEPERS: LazyLock<String> =
    LazyLock::new(|| unless_suspended(include_str!("../sql/sleepers.sql")));
static NEXT_WAKE: LazyLock<String> =
    LazyLock::new(|| unless_suspended(include_str!("../sql/next_wake.sql")));
static NEXT_RETRY: LazyLock<String> =
    LazyLock::new(|| unless_suspended(include_str!("../sql/next_retry.sql")));

/// A time at which a sandbox has to wake without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// When its start begins.
    pub at: DateTime<Utc>,
    /// What it wakes for.
    pub reason: WakeReason,
}

/// A sandbox that sleeps until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleeper {
    /// The sandbox that sleeps.
    pub id: SandboxId,
    /// When its start begins at the latest.
    pub wake_at: DateTime<Utc>,
}

/// Sleep: the row changes before the container stops, and before the container starts again.
impl Sandboxes {
    /// Marks a ready sandbox, which was seen to be idle at `since`, as asleep until `wake`. Returns `false` if it must not
    /// sleep: somebody waits for an answer or is in a call, its row has changed since, for example because a message was
    /// answered, its policy is to stay awake, or the start is over.
    pub async fn fall_asleep(
        &self,
        start: SandboxStart,
        wake: Option<Wake>,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let values = [
            start.sandbox.as_uuid().into(),
            start.start.cast_signed().into(),
            wake.map(|wake| wake.at).into(),
            wake.map(|wake| wake.reason.as_str().to_owned()).into(),
            now.into(),
            since.into(),
        ];
        let rows = self
            .database
            .rows("marking a sandbox as asleep", FALL_ASLEEP, values);
        Ok(!rows.await?.is_empty())
    }

    /// Stores that the container of a sleeping sandbox is gone: its port is free.
    pub async fn release_port(
        &self,
        start: SandboxStart,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::Port, Expr::value(None::<i32>))
            .col_expr(Column::ContainerId, Expr::value(None::<String>))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.eq(start.sandbox.as_uuid()))
            .filter(Column::Start.eq(start.start.cast_signed()))
            .filter(Column::Status.eq(SandboxStatus::Asleep.as_str()));
        self.database
            .execute("releasing the port of a sleeping sandbox", update)
            .await
    }

    /// The sleepers of a host that have to wake until `until`, at most `limit`; the earliest first. Without those that other
    /// engines have, and those of suspended users.
    pub async fn sleepers(
        &self,
        host: &Host,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Sleeper>, StoreError> {
        let operation = "reading who has to wake soon";
        let values = [
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            until.into(),
            i64::from(limit).into(),
        ];
        let rows = self.database.rows(operation, &SLEEPERS, values).await?;
        rows.iter()
            .map(|row| {
                Ok(Sleeper {
                    id: SandboxId::from_uuid(read(operation, row, "id")?),
                    wake_at: read(operation, row, "wake_at")?,
                })
            })
            .collect()
    }

    /// Moves to `Requested`, as the next start, these sleepers of a host, and the failed sandboxes whose retry is due, while
    /// places are free: due jobs first, then retries, then heartbeats, and no heartbeat while anybody is queued. Returns them
    /// in this order. Those that other engines have, and those of suspended users, stay as they are.
    pub async fn wake_due(
        &self,
        host: &Host,
        sleepers: &[SandboxId],
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<Sandbox>, StoreError> {
        let sleepers: Vec<_> = sleepers.iter().map(SandboxId::as_uuid).collect();
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let values = [
                i64::from(cap).into(),
                now.into(),
                sleepers.into(),
                with_place().into(),
                host.name.as_str().into(),
                host.engine.as_deref().into(),
            ];
            let rows = transaction
                .query_all_raw(statement(&WAKE_DUE, values))
                .await?;
            transaction.commit().await?;
            rows.iter()
                .map(|row| Model::from_query_result(row, "s_"))
                .collect::<Result<Vec<_>, _>>()
        };
        let rows = self
            .database
            .run("waking sandboxes that are due", work)
            .await?;
        rows.into_iter().map(Sandbox::try_from).collect()
    }

    /// The number of sandboxes of a host that should have begun to start by now, and have not, because there are no places.
    pub async fn count_due(&self, host: &Host, now: DateTime<Utc>) -> Result<u32, StoreError> {
        let operation = "counting the sandboxes that are due";
        let values = [
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            now.into(),
        ];
        let row = self.database.row(operation, &COUNT_DUE, values).await?;
        let due: i64 = read(operation, &row, "due")?;
        Ok(u32::try_from(due).unwrap_or(u32::MAX))
    }

    /// The requested sandboxes of a host that paused after a failure until now, or until before.
    pub async fn paused_until(
        &self,
        host: &Host,
        now: DateTime<Utc>,
    ) -> Result<Vec<Sandbox>, StoreError> {
        let query = Entity::find()
            .filter(Column::Host.eq(host.name.as_str()))
            .filter(is_of(host))
            .filter(Column::UserId.is_not_null())
            .filter(Column::Status.eq(SandboxStatus::Requested.as_str()))
            .filter(Column::RetryAt.lte(now))
            .all(&self.database.pool);
        let rows = self.database.run("reading paused sandboxes", query).await?;
        rows.into_iter().map(Sandbox::try_from).collect()
    }

    /// The earliest time after `after` at which a sleeper of this host has to wake.
    pub async fn next_wake(
        &self,
        host: &Host,
        after: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.next(
            "reading when the next sandbox wakes",
            &NEXT_WAKE,
            host,
            after,
        )
        .await
    }

    /// The earliest time after `after` at which a failed sandbox of this host is tried again, or the pause of a requested
    /// one ends.
    pub async fn next_retry(
        &self,
        host: &Host,
        after: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.next(
            "reading when the next sandbox is tried again",
            &NEXT_RETRY,
            host,
            after,
        )
        .await
    }

    async fn next(
        &self,
        operation: &'static str,
        sql: &str,
        host: &Host,
        after: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let values = [
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            after.into(),
        ];
        let row = self.database.row(operation, sql, values).await?;
        read(operation, &row, "next")
    }

    /// The sandboxes of a host that are to be started and for which somebody waits, in the chat or on the phone; only
    /// `sandbox` if it is given. Without newcomers, of whom every one waits.
    pub async fn awaited(
        &self,
        host: &str,
        sandbox: Option<SandboxId>,
    ) -> Result<Vec<SandboxId>, StoreError> {
        let operation = "reading who waits for a sandbox";
        let values = [
            host.into(),
            sandbox.map(|sandbox| sandbox.as_uuid()).into(),
            startable().into(),
        ];
        let rows = self.database.rows(operation, AWAITED, values).await?;
        rows.iter()
            .map(|row| Ok(SandboxId::from_uuid(read(operation, row, "id")?)))
            .collect()
    }

    /// Sets whether the user's sandbox sleeps; [`SleepPolicy::Off`] cancels a planned wake. Returns `false` if the user has
    /// none.
    pub async fn set_policy(
        &self,
        user: UserId,
        policy: SleepPolicy,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut update = Entity::update_many()
            .col_expr(Column::Policy, Expr::value(policy.as_str()))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::UserId.eq(user.as_uuid()));
        if policy == SleepPolicy::Off {
            update = update.col_expr(Column::WakeAt, Expr::value(None::<DateTime<Utc>>));
        }
        self.database
            .execute("setting a sleep policy", update)
            .await
    }
}

/// The condition of being due, for a host and its engine: `sleeper` says which sleepers are, and `now` until when failed ones
/// have paused.
pub(super) fn due(host: &str, engine: &str, sleeper: &str, now: &str) -> String {
    unless_suspended(include_str!("../sql/due.sql"))
        .replace("{host}", host)
        .replace("{engine}", engine)
        .replace("{sleeper}", sleeper)
        .replace("{now}", now)
}

fn unless_suspended(sql: &str) -> String {
    sql.replace("{suspended}", &is_suspended("sandbox.user_id"))
}
