use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{SandboxStatus, SleepPolicy, UserId, WakeReason};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, sea_query::Expr,
};

use super::{Sandbox, SandboxStart, Sandboxes, states::with_place};
use crate::{
    StoreError,
    database::{columns, read, statement},
    entity::sandbox::{Column, Entity, Model},
};

const FALL_ASLEEP: &str = include_str!("../sql/fall_asleep.sql");
static WAKE_DUE: LazyLock<String> = LazyLock::new(|| {
    include_str!("../sql/wake_due.sql").replace("{sandbox}", &columns::<Entity>("s"))
});

/// A time at which a sandbox has to wake without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// When its start begins.
    pub at: DateTime<Utc>,
    /// What it wakes for.
    pub reason: WakeReason,
}

/// Sleep: the row changes before the container stops, and before the container starts again.
impl Sandboxes {
    /// Marks a ready sandbox as asleep until `wake`. Returns `false` if it must not sleep: somebody waits for an answer
    /// or is in a call, its policy is to stay awake, or the start is over.
    pub async fn fall_asleep(
        &self,
        start: SandboxStart,
        wake: Option<Wake>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let values = [
            start.sandbox.as_uuid().into(),
            start.start.cast_signed().into(),
            wake.map(|wake| wake.at).into(),
            wake.map(|wake| wake.reason.as_str().to_owned()).into(),
            now.into(),
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

    /// Moves to `Requested`, as the next start, the sleepers of a host that have to wake until `until`, and the failed
    /// ones that are to be tried again by now; the earliest first, while there are free places. Returns them.
    pub async fn wake_due(
        &self,
        host: &str,
        until: DateTime<Utc>,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<Sandbox>, StoreError> {
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let values = [
                i64::from(cap).into(),
                now.into(),
                until.into(),
                with_place().into(),
                host.into(),
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

    /// The earliest time at which a sleeper of this host has to wake, or a failed sandbox is tried again.
    pub async fn next_due(&self, host: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        const NEXT_DUE: &str = "SELECT min(CASE status WHEN 'asleep' THEN wake_at ELSE retry_at END) AS due \
            FROM sandbox WHERE host = $1 AND status IN ('asleep', 'failed')";
        let operation = "reading when the next sandbox wakes";
        let row = self
            .database
            .row(operation, NEXT_DUE, [host.into()])
            .await?;
        read(operation, &row, "due")
    }

    /// Sets whether the user's sandbox sleeps. Returns `false` if the user has none.
    pub async fn set_policy(
        &self,
        user: UserId,
        policy: SleepPolicy,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::Policy, Expr::value(policy.as_str()))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::UserId.eq(user.as_uuid()));
        self.database
            .execute("setting a sleep policy", update)
            .await
    }
}
