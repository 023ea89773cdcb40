use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use claw_domain::{Endpoint, FailureReason, SandboxStatus};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, UpdateMany, sea_query::Expr,
};

use super::{SandboxStart, Sandboxes};
use crate::{
    StoreError,
    database::statement,
    entity::{
        sandbox::{Column, Entity},
        sandbox_secrets,
    },
};

const RESERVE_PORT: &str = include_str!("../sql/reserve_port.sql");

/// The states in which something of a sandbox may exist outside our row: those that take a place.
pub(super) const AT_WORK: [&str; 3] = [
    SandboxStatus::Requested.as_str(),
    SandboxStatus::Starting.as_str(),
    SandboxStatus::Ready.as_str(),
];
const ON_THE_WAY: [&str; 2] = [
    SandboxStatus::Requested.as_str(),
    SandboxStatus::Starting.as_str(),
];
/// The number of the start that takes the volume along when it is given up.
const FIRST_START: u32 = 1;

/// The steps of a start. Each may be repeated, and gives `false` (and changes nothing) when its start is
/// over: given up, removed, or followed by another.
impl Sandboxes {
    /// A port on the sandbox's host that is nobody else's, the same at every call; `None` when the range
    /// is used up, or the start is over.
    pub async fn reserve_port(
        &self,
        start: SandboxStart,
        range: RangeInclusive<u16>,
        now: DateTime<Utc>,
    ) -> Result<Option<u16>, StoreError> {
        let values = [
            start.sandbox.as_uuid().into(),
            start.start.cast_signed().into(),
            i32::from(*range.start()).into(),
            i32::from(*range.end()).into(),
            now.into(),
        ];
        let work = async {
            let transaction = self.database.begin_with_places().await?;
            let row = transaction
                .query_one_raw(statement(RESERVE_PORT, values))
                .await?;
            transaction.commit().await?;
            row.map(|row| row.try_get::<Option<i32>>("", "port"))
                .transpose()
        };
        let port = self.database.run("reserving a port", work).await?.flatten();
        let corrupt = |_| StoreError::Corrupt {
            column: "sandbox.port",
        };
        port.map(u16::try_from).transpose().map_err(corrupt)
    }

    /// The name under which a model key is about to be made: written before it is made, so that a key
    /// whose making we did not survive is found.
    pub async fn record_model_key_name(
        &self,
        start: SandboxStart,
        name: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = step(start, now, &AT_WORK).col_expr(Column::ModelKeyName, Expr::value(name));
        self.exec("recording the attempt to make a model key", update)
            .await
    }

    /// The engine's id of the container.
    pub async fn record_container(
        &self,
        start: SandboxStart,
        container_id: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update =
            step(start, now, &AT_WORK).col_expr(Column::ContainerId, Expr::value(container_id));
        self.exec("recording a container", update).await
    }

    /// From here on something of it may exist outside.
    pub async fn mark_starting(
        &self,
        start: SandboxStart,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update =
            step(start, now, &ON_THE_WAY).col_expr(Column::Status, to(SandboxStatus::Starting));
        self.exec("marking a sandbox as starting", update).await
    }

    /// It answers, here.
    pub async fn mark_ready(
        &self,
        start: SandboxStart,
        endpoint: &Endpoint,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = step(start, now, &AT_WORK)
            .col_expr(Column::Status, to(SandboxStatus::Ready))
            .col_expr(Column::Endpoint, Expr::value(endpoint.as_str()));
        self.exec("marking a sandbox as ready", update).await
    }

    /// It could not be made, and is left with its volume at most: port, container and key are forgotten.
    /// How far its transcript was read is forgotten with a first start only, as only then its volume goes
    /// too; a later start finds the conversation as it was.
    pub async fn mark_failed(
        &self,
        start: SandboxStart,
        reason: FailureReason,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let from = [&AT_WORK[..], &[SandboxStatus::Failed.as_str()]].concat();
        let update = forget_outside(step(start, now, &from))
            .col_expr(Column::Status, to(SandboxStatus::Failed))
            .col_expr(Column::Error, Expr::value(reason.as_str()));
        let update = if start.start == FIRST_START {
            forget_transcript(update)
        } else {
            update
        };
        self.exec("marking a sandbox as failed", update).await
    }

    /// It was taken down on purpose, and nothing of it is left outside.
    pub async fn mark_removed(
        &self,
        start: SandboxStart,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let from = SandboxStatus::ALL.map(SandboxStatus::as_str);
        let update = forget_transcript(forget_outside(step(start, now, &from)))
            .col_expr(Column::Status, to(SandboxStatus::Removed))
            .col_expr(Column::Error, Expr::value(None::<String>));
        self.exec("marking a sandbox as removed", update).await
    }

    /// It stopped answering and is to be started again with everything it has: the next start of the same
    /// sandbox, in the place it has already.
    pub async fn start_over(
        &self,
        start: SandboxStart,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = step(start, now, &AT_WORK)
            .col_expr(Column::Status, to(SandboxStatus::Requested))
            .col_expr(Column::Start, Expr::col(Column::Start).add(1));
        self.exec("starting a sandbox over", update).await
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

fn step(start: SandboxStart, now: DateTime<Utc>, from: &[&'static str]) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(start.sandbox.as_uuid()))
        .filter(Column::Start.eq(start.start.cast_signed()))
        .filter(Column::Status.is_in(from.iter().copied()))
}

fn to(status: SandboxStatus) -> Expr {
    Expr::value(status.as_str())
}

fn forget_outside(update: UpdateMany<Entity>) -> UpdateMany<Entity> {
    let nothing = || Expr::value(None::<String>);
    update
        .col_expr(Column::Port, Expr::value(None::<i32>))
        .col_expr(Column::ContainerId, nothing())
        .col_expr(Column::Endpoint, nothing())
        .col_expr(Column::ModelKeyName, nothing())
        .col_expr(Column::ModelKeyHash, nothing())
        .col_expr(sandbox_secrets::Column::ModelKeySealed, nothing())
}

fn forget_transcript(update: UpdateMany<Entity>) -> UpdateMany<Entity> {
    let nothing = || Expr::value(None::<String>);
    update
        .col_expr(Column::TranscriptCursor, nothing())
        .col_expr(Column::BootId, nothing())
}
