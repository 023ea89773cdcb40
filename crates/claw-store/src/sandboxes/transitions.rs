use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use claw_domain::{Endpoint, FailureReason, SandboxStatus};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, UpdateMany, sea_query::Expr,
};

use super::{
    Host, SandboxStart, Sandboxes, is_of,
    keys::ENABLED,
    states::{startable, with_agent, with_place, with_volume},
};
use crate::{
    StoreError,
    database::statement,
    entity::{
        sandbox::{Column, Entity},
        sandbox_secrets,
    },
};

const RESERVE_PORT: &str = include_str!("../sql/reserve_port.sql");

/// The start whose failure also removes the volume.
const FIRST_START: u32 = 1;

/// The transitions of a start. Each may be repeated. Each returns `false` and changes nothing if its start is
/// over: it failed, was removed, or was followed by another start.
impl Sandboxes {
    /// Reserves a port that no other sandbox of the host has and that is not in `refused`, the same one in every call;
    /// `None` if the range is exhausted or the start is over. A reserved port that is refused is replaced.
    pub async fn reserve_port(
        &self,
        start: SandboxStart,
        range: RangeInclusive<u16>,
        refused: &[u16],
        now: DateTime<Utc>,
    ) -> Result<Option<u16>, StoreError> {
        let refused: Vec<i32> = refused.iter().copied().map(i32::from).collect();
        let values = [
            start.sandbox.as_uuid().into(),
            start.start.cast_signed().into(),
            i32::from(*range.start()).into(),
            i32::from(*range.end()).into(),
            now.into(),
            with_place().into(),
            refused.into(),
        ];
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
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

    /// Stores the name of a model key before the key is made, so that a key whose hash was never stored can
    /// be found by its name.
    pub async fn record_model_key_name(
        &self,
        start: SandboxStart,
        name: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update =
            transition(start, now, with_place()).col_expr(Column::ModelKeyName, Expr::value(name));
        self.database
            .execute("recording the name of a model key", update)
            .await
    }

    /// Stores the engine's id of the container.
    pub async fn record_container(
        &self,
        start: SandboxStart,
        container_id: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = transition(start, now, with_place())
            .col_expr(Column::ContainerId, Expr::value(container_id));
        self.database.execute("recording a container", update).await
    }

    /// Marks the start as begun at this host, with this language model: from here on a container or a model key may exist.
    /// Returns `false` also if another engine has the sandbox's volume.
    pub async fn mark_starting(
        &self,
        start: SandboxStart,
        host: &Host,
        model: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = transition(start, now, startable())
            .col_expr(Column::Status, to(SandboxStatus::Starting))
            .col_expr(Column::Host, Expr::value(host.name.as_str()))
            .col_expr(Column::Engine, Expr::value(host.engine.as_deref()))
            .col_expr(Column::Model, Expr::value(model))
            .col_expr(Column::RetryAt, Expr::value(None::<DateTime<Utc>>))
            .filter(is_of(host));
        self.database
            .execute("marking a sandbox as starting", update)
            .await
    }

    /// Stores that the engine of this host has the volumes of those sandboxes of the host that no engine has so far, and
    /// that may have one. Returns whether there were any.
    pub async fn adopt(&self, host: &Host, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::Engine, Expr::value(host.engine.as_deref()))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Host.eq(host.name.as_str()))
            .filter(Column::Engine.is_null())
            .filter(Column::Status.is_in(with_volume()));
        self.database
            .execute("adopting sandboxes of no engine", update)
            .await
    }

    /// Marks the sandbox as ready at `endpoint`.
    pub async fn mark_ready(
        &self,
        start: SandboxStart,
        endpoint: &Endpoint,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = transition(start, now, with_place())
            .col_expr(Column::Status, to(SandboxStatus::Ready))
            .col_expr(Column::Endpoint, Expr::value(endpoint.as_str()));
        self.database
            .execute("marking a sandbox as ready", update)
            .await
    }

    /// Marks the sandbox as failed and clears its port, container, endpoint and model key; only a volume may
    /// be left. A failed first start also clears the transcript position, because its volume is removed; a
    /// later start keeps both the volume and the position. It starts again without a request at `retry_at`.
    pub async fn mark_failed(
        &self,
        start: SandboxStart,
        reason: FailureReason,
        retry_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut from = with_place();
        from.push(SandboxStatus::Failed.as_str().to_owned());
        let failures = Expr::case(
            Column::Status.eq(SandboxStatus::Failed.as_str()),
            Expr::col(Column::Failures),
        )
        .finally(Expr::col(Column::Failures).add(1));
        let mut update = without_belongings(transition(start, now, from))
            .col_expr(Column::Status, to(SandboxStatus::Failed))
            .col_expr(Column::Error, Expr::value(reason.as_str()))
            .col_expr(Column::WakeFor, Expr::value(None::<String>))
            .col_expr(Column::Failures, failures.into())
            .col_expr(Column::RetryAt, Expr::value(retry_at));
        if start.start == FIRST_START {
            update = without_position(update);
        }
        self.database
            .execute("marking a sandbox as failed", update)
            .await
    }

    /// Begins the next start of a sandbox that stopped answering, at `retry_at` or later; it keeps its place and everything
    /// it has.
    pub async fn start_over(
        &self,
        start: SandboxStart,
        retry_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = transition(start, now, with_place())
            .col_expr(Column::Status, to(SandboxStatus::Requested))
            .col_expr(Column::Start, Expr::col(Column::Start).add(1))
            .col_expr(Column::Endpoint, Expr::value(None::<String>))
            .col_expr(Column::WakeFor, Expr::value(None::<String>))
            .col_expr(Column::Failures, Expr::col(Column::Failures).add(1))
            .col_expr(Column::RetryAt, Expr::value(retry_at));
        self.database
            .execute("starting a sandbox over", update)
            .await
    }

    /// Forgets the failures of a sandbox that has been answering for a while.
    pub async fn forget_failures(
        &self,
        start: SandboxStart,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update =
            transition(start, now, with_agent()).col_expr(Column::Failures, Expr::value(0));
        self.database
            .execute("forgetting the failures of a sandbox", update)
            .await
    }

    /// Marks a sandbox as removed, after its container, its model key and its volume are gone. Its next start is on any
    /// host, with nothing of its former life.
    pub async fn mark_removed(
        &self,
        start: SandboxStart,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let removing = vec![SandboxStatus::Removing.as_str().to_owned()];
        let update = without_position(without_belongings(transition(start, now, removing)))
            .col_expr(Column::Status, to(SandboxStatus::Removed))
            .col_expr(Column::Engine, Expr::value(None::<String>));
        self.database
            .execute("marking a sandbox as removed", update)
            .await
    }
}

/// Clears the port, the container, the endpoint and the model key.
fn without_belongings(update: UpdateMany<Entity>) -> UpdateMany<Entity> {
    let nothing = || Expr::value(None::<String>);
    update
        .col_expr(Column::Port, Expr::value(None::<i32>))
        .col_expr(Column::ContainerId, nothing())
        .col_expr(Column::Endpoint, nothing())
        .col_expr(Column::ModelKeyName, nothing())
        .col_expr(Column::ModelKeyHash, nothing())
        .col_expr(Column::ModelKeyState, Expr::value(ENABLED))
        .col_expr(sandbox_secrets::Column::ModelKeySealed, nothing())
}

/// Clears the transcript position, which belongs to the volume.
fn without_position(update: UpdateMany<Entity>) -> UpdateMany<Entity> {
    let nothing = || Expr::value(None::<String>);
    update
        .col_expr(Column::TranscriptCursor, nothing())
        .col_expr(Column::BootId, nothing())
}

/// An update of the row, if the sandbox is in this start and in one of the states `from`.
fn transition(start: SandboxStart, now: DateTime<Utc>, from: Vec<String>) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(start.sandbox.as_uuid()))
        .filter(Column::Start.eq(start.start.cast_signed()))
        .filter(Column::Status.is_in(from))
}

fn to(status: SandboxStatus) -> Expr {
    Expr::value(status.as_str())
}
