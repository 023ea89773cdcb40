use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{DeliveryId, DeliveryState, Wamid};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, UpdateMany,
    sea_query::{Expr, Func},
};
use uuid::Uuid;

use super::{Deliveries, Delivery, WhileSuspended};
use crate::{
    StoreError,
    entity::delivery::{Column, Entity},
    suspensions::is_suspended,
};

const MARK_IN_TEMPLATE: &str = "
UPDATE delivery SET state = $4, updated_at = $5
WHERE id = ANY ($3::uuid[]) AND state = 0
  AND EXISTS (SELECT FROM delivery AS first WHERE first.id = $1 AND first.attempts = $2 AND first.state = 1)";

static IS_NOT_SUSPENDED: LazyLock<String> =
    LazyLock::new(|| format!("NOT {}", is_suspended("delivery.user_id")));

/// State changes by the sender. Each call may be repeated.
impl Deliveries {
    /// Marks a delivery, as it was read, as being handed to the channel; counts an attempt here and in the row.
    /// Returns `false` if it must not be sent: it is unknown, its outcome is known, another replica has marked it
    /// since it was read, or the user is suspended or blocked and `hold` does not allow it.
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
            update = update.filter(Expr::cust(IS_NOT_SUSPENDED.as_str()));
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

    /// Marks the other pieces of a reply as accepted, before a template that stands for all of them is sent as `first`:
    /// see [`super::OutgoingReply::is_in_template`]. Does nothing unless the caller has marked `first` as sending and no
    /// other replica has since; pieces that are not pending stay as they are.
    pub async fn mark_in_template(
        &self,
        first: &Delivery,
        rest: &[DeliveryId],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let rest: Vec<Uuid> = rest.iter().map(DeliveryId::as_uuid).collect();
        let values = [
            first.id.as_uuid().into(),
            first.attempts.cast_signed().into(),
            rest.into(),
            DeliveryState::Accepted.rank().into(),
            now.into(),
        ];
        let operation = "marking deliveries that a template stands for";
        let rows = self.database.rows(operation, MARK_IN_TEMPLATE, values);
        rows.await.map(drop)
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
