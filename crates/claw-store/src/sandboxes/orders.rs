use chrono::{DateTime, Utc};
use claw_domain::{SandboxStatus, UserId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::{
    Host, Sandboxes, is_of,
    request::initial_status,
    states::{removable, restartable, wakeable},
};
use crate::{
    StoreError,
    database::statement,
    entity::sandbox::{Column, Entity},
};

const ORDER_START: &str = include_str!("../sql/order_start.sql");

/// What an operator orders. Each may be repeated. A sandbox whose volume another engine has is left alone.
impl Sandboxes {
    /// Begins the next start of the user's sandbox if it sleeps or has failed: at once, or when a place is free. Returns
    /// `false` if there was nothing to do.
    pub async fn order_wake(
        &self,
        user: UserId,
        host: &Host,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.order_start(user, host, wakeable(), cap, now).await
    }

    /// Begins the next start of the user's sandbox, whatever it is doing, unless it waits for a place or is being removed.
    /// Returns `false` if there was nothing to do.
    pub async fn order_restart(
        &self,
        user: UserId,
        host: &Host,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.order_start(user, host, restartable(), cap, now).await
    }

    /// Begins to remove the user's sandbox; it may no longer start. Returns `false` if there was nothing to do.
    pub async fn order_removal(
        &self,
        user: UserId,
        host: &Host,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(
                Column::Status,
                Expr::value(SandboxStatus::Removing.as_str()),
            )
            .col_expr(Column::Endpoint, Expr::value(None::<String>))
            .col_expr(Column::Error, Expr::value(None::<String>))
            .col_expr(Column::Failures, Expr::value(0))
            .col_expr(Column::RetryAt, Expr::value(None::<DateTime<Utc>>))
            .col_expr(Column::WakeAt, Expr::value(None::<DateTime<Utc>>))
            .col_expr(Column::WakeFor, Expr::value(None::<String>))
            .col_expr(Column::Host, Expr::value(host.name.as_str()))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Column::Status.is_in(removable()))
            .filter(is_of(host));
        // With the lock: a start that is being stored at this moment would not see the removal.
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let removed = update.exec(&transaction).await?;
            transaction.commit().await?;
            Ok(removed.rows_affected > 0)
        };
        self.database
            .run("beginning to remove a sandbox", work)
            .await
    }

    async fn order_start(
        &self,
        user: UserId,
        host: &Host,
        from: Vec<String>,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let found = Entity::find()
                .filter(Column::UserId.eq(user.as_uuid()))
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
                initial_status(&transaction, cap).await?
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
