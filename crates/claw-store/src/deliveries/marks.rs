use chrono::{DateTime, Utc};
use claw_domain::{DeliveryId, DeliveryState, Wamid};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, UpdateMany,
    sea_query::{Expr, Func},
};

use super::Deliveries;
use crate::{
    StoreError,
    entity::delivery::{Column, Entity},
};

/// What we ourselves know about a piece. Each may be repeated.
impl Deliveries {
    /// Marks a piece as handed over. `false` when it is not to be sent: unknown, or its outcome is known
    /// by now. Each call counts as an attempt.
    pub async fn mark_sending(
        &self,
        id: DeliveryId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = update(id, now)
            .col_expr(Column::State, Expr::value(DeliveryState::Sending.rank()))
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .col_expr(Column::SendingSince, Expr::value(now))
            .filter(Column::State.lte(DeliveryState::Sending.rank()));
        self.exec("marking a delivery as sending", update).await
    }

    /// The channel took a piece. A report may have been quicker: the state does not go back.
    pub async fn mark_accepted(
        &self,
        id: DeliveryId,
        wamid: &Wamid,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let known_or_new = Func::coalesce([Expr::col(Column::Wamid), Expr::value(wamid.as_str())]);
        let update = update(id, now)
            .col_expr(Column::State, at_least(DeliveryState::Accepted))
            .col_expr(Column::Wamid, known_or_new.into());
        self.exec("marking a delivery as accepted", update)
            .await
            .map(drop)
    }

    /// A piece will not arrive. Changes nothing when it was seen to arrive.
    pub async fn mark_failed(
        &self,
        id: DeliveryId,
        code: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = update(id, now)
            .col_expr(Column::State, Expr::value(DeliveryState::Failed.rank()))
            .col_expr(Column::ErrorCode, Expr::value(code))
            .filter(Column::State.lt(DeliveryState::Failed.rank()));
        self.exec("marking a delivery as failed", update)
            .await
            .map(drop)
    }

    /// A piece that was handed over certainly did not go out: it may be sent again. The only step back,
    /// and only from `Sending`.
    pub async fn mark_pending(&self, id: DeliveryId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let update = update(id, now)
            .col_expr(Column::State, Expr::value(DeliveryState::Pending.rank()))
            .col_expr(Column::SendingSince, Expr::value(None::<DateTime<Utc>>))
            .filter(Column::State.eq(DeliveryState::Sending.rank()));
        self.exec("marking a delivery as pending", update)
            .await
            .map(drop)
    }

    async fn exec(
        &self,
        operation: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<bool, StoreError> {
        let result = self
            .database
            .run(operation, update.exec(&self.database.pool))
            .await?;
        Ok(result.rows_affected > 0)
    }
}

fn update(id: DeliveryId, now: DateTime<Utc>) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id.as_uuid()))
}

/// The further of the row's state and this one.
fn at_least(state: DeliveryState) -> Expr {
    Func::greatest([Expr::col(Column::State), Expr::value(state.rank())]).into()
}
