use chrono::{DateTime, Utc};
use claw_domain::{DeliveryId, DeliveryState, Wamid};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, UpdateMany,
    sea_query::{Expr, Func},
};

use super::{Deliveries, Delivery, WhileSuspended};
use crate::{
    StoreError,
    entity::delivery::{Column, Entity},
};

const IS_NOT_SUSPENDED: &str = "NOT EXISTS (SELECT FROM suspension WHERE suspended_at IS NOT NULL) \
    AND NOT EXISTS (SELECT FROM \"user\" WHERE \"user\".id = delivery.user_id AND suspended_at IS NOT NULL)";

/// State changes by the sender. Each call may be repeated.
impl Deliveries {
    /// Marks a delivery, as it was read, as being handed to the channel; counts an attempt here and in the row.
    /// Returns `false` if it must not be sent: it is unknown, its outcome is known, another replica has marked it
    /// since it was read, or the user is suspended and `hold` does not allow it.
    pub async fn mark_sending(
        &self,
        delivery: &mut Delivery,
        hold: WhileSuspended,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut update = update(delivery.id, now)
            .col_expr(Column::State, Expr::value(DeliveryState::Sending.rank()))
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .col_expr(Column::SendingSince, Expr::value(now))
            .filter(Column::State.lte(DeliveryState::Sending.rank()))
            .filter(Column::Attempts.eq(delivery.attempts));
        if hold == WhileSuspended::Hold {
            update = update.filter(Expr::cust(IS_NOT_SUSPENDED));
        }
        let is_marked = self
            .database
            .execute("marking a delivery as sending", update)
            .await?;
        if is_marked {
            delivery.state = DeliveryState::Sending;
            delivery.attempts += 1;
            delivery.sending_since = Some(now);
        }
        Ok(is_marked)
    }

    /// Marks a delivery as accepted by the channel. If a report arrived first, the state stays as reported.
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
        self.database
            .execute("marking a delivery as accepted", update)
            .await
            .map(drop)
    }

    /// Marks a delivery as failed, unless the channel reported that it arrived.
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
        self.database
            .execute("marking a delivery as failed", update)
            .await
            .map(drop)
    }

    /// Makes a delivery pending again that was certainly not sent in the caller's attempt. The only backward step:
    /// from `Sending`, and not if another replica has marked the delivery since.
    pub async fn mark_pending(
        &self,
        delivery: &Delivery,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = update(delivery.id, now)
            .col_expr(Column::State, Expr::value(DeliveryState::Pending.rank()))
            .col_expr(Column::SendingSince, Expr::value(None::<DateTime<Utc>>))
            .filter(Column::State.eq(DeliveryState::Sending.rank()))
            .filter(Column::Attempts.eq(delivery.attempts));
        self.database
            .execute("marking a delivery as pending", update)
            .await
            .map(drop)
    }
}

fn update(id: DeliveryId, now: DateTime<Utc>) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id.as_uuid()))
}

/// The higher of the row's state and this one.
fn at_least(state: DeliveryState) -> Expr {
    Func::greatest([Expr::col(Column::State), Expr::value(state.rank())]).into()
}
