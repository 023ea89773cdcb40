use chrono::{DateTime, Utc};
use claw_domain::SandboxStatus;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::{
    Host, SandboxStart, Sandboxes, is_of,
    request::{initial_status, places_ahead},
    states::{removable, restartable, wakeable},
};
use crate::{
    StoreError,
    database::statement,
    entity::sandbox::{Column, Entity},
};

const ORDER_START: &str = include_str!("../sql/order_start.sql");
const ORDER_REMOVAL: &str = include_str!("../sql/order_removal.sql");

/// What an operator orders. Each order names the start that the sandbox was in when it was given, so that an order that is
/// delivered again later changes nothing. A sandbox whose volume another engine has is left alone.
impl Sandboxes {
    /// Begins the next start of a sandbox that sleeps or has failed: at once, or when a place is free. Returns `false` if it
    /// does neither, or has started since the order was given.
    pub async fn order_wake(
        &self,
        start: SandboxStart,
        host: &Host,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.order_start(start, host, wakeable(), cap, now).await
    }

    /// Begins the next start of a sandbox, whatever it is doing. Returns `false` if it waits for a place, is being removed,
    /// or has started since the order was given.
    pub async fn order_restart(
        &self,
        start: SandboxStart,
        host: &Host,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.order_start(start, host, restartable(), cap, now).await
    }

    /// Begins to remove a sandbox; it may no longer start. Returns `false` if it is being removed already, or was removed
    /// since the order was given. Starts since then do not matter: the sandbox still has the same volume.
    pub async fn order_removal(
        &self,
        start: SandboxStart,
        host: &Host,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let values = [
            start.sandbox.as_uuid().into(),
            start.start.cast_signed().into(),
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            now.into(),
            removable().into(),
        ];
        // With the lock: a start that is being stored at this moment would not see the removal.
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let removed = transaction
                .query_one_raw(statement(ORDER_REMOVAL, values))
                .await?;
            transaction.commit().await?;
            Ok(removed.is_some())
        };
        self.database
            .run("beginning to remove a sandbox", work)
            .await
    }

    async fn order_start(
        &self,
        start: SandboxStart,
        host: &Host,
        from: Vec<String>,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let found = Entity::find()
                .filter(Column::Id.eq(start.sandbox.as_uuid()))
                .filter(Column::Start.eq(start.start.cast_signed()))
                .filter(Column::Status.is_in(from))
                .filter(is_of(host))
                .one(&transaction)
                .await?;
            let Some(row) = found else {
                return Ok(false);
            };
            let has_place = row.status.parse().is_ok_and(SandboxStatus::takes_a_place);
            let status = if has_place {
                SandboxStatus::Requested
            } else {
                let ahead = places_ahead(&transaction, host, Some(row.id), now).await?;
                initial_status(ahead, cap)
            };
            let values = [row.id.into(), status.as_str().into(), now.into()];
            let started = transaction
                .query_one_raw(statement(ORDER_START, values))
                .await?;
            transaction.commit().await?;
            Ok(started.is_some())
        };
        self.database.run("starting a sandbox by order", work).await
    }
}
