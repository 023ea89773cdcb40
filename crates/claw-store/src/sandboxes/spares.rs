use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{SandboxId, SandboxStatus, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryResult,
    sea_query::Expr,
};

use super::{
    AnySandbox, Host, NewSandbox, Sandbox, SandboxRequest, SandboxStart, Sandboxes,
    request::{insertion, places_ahead, returning, waiting},
    secrets::{DEVICE_SEED, GATEWAY_TOKEN, seal_seed, seal_text},
    states::{startable, with_place},
};
use crate::{
    Keyring, StoreError,
    database::read,
    entity::sandbox::{Column, Entity, Model},
    error::sqlstate,
    suspensions::is_suspended,
};

static CLAIM: LazyLock<String> = LazyLock::new(|| {
    returning(include_str!("../sql/claim.sql")).replace("{suspended}", &is_suspended("$1::uuid"))
});
static DISCARD: LazyLock<String> =
    LazyLock::new(|| returning(include_str!("../sql/discard_spares.sql")));
static DEMAND: LazyLock<String> =
    LazyLock::new(|| include_str!("../sql/demand.sql").replace("{waiting}", &waiting("$2")));
static LEAST_USED: LazyLock<String> = LazyLock::new(|| {
    include_str!("../sql/least_used.sql").replace("{suspended}", &is_suspended("s.user_id"))
});
const FORGET: &str = "SELECT forget_spare($1)";

/// SQLSTATE of a second row for the same user.
const UNIQUE_VIOLATION: &str = "23505";

/// Who has places and who wants one, as a provisioner at one engine sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// The places that are taken, on all hosts together.
    pub taken: u32,
    /// The spare sandboxes here that are ready.
    pub ready_spares: u32,
    /// The spare sandboxes here that are being started.
    pub starting_spares: u32,
    /// The people who wait in line for a place.
    pub queued: u32,
}

/// Spare sandboxes, which make up the warm pool: they are started before anybody asks for them, and belong to nobody until
/// they are claimed.
impl Sandboxes {
    /// Gives a user who has no sandbox a ready spare one that this host's engine has; `None` if there is none with this
    /// model, if the user has a sandbox already, or is suspended. The sandbox keeps its place.
    pub async fn claim(
        &self,
        request: &SandboxRequest,
        host: &Host,
        model: &str,
    ) -> Result<Option<Sandbox>, StoreError> {
        let values = [
            request.user.as_uuid().into(),
            request.cause.as_uuid().into(),
            request.attempt.cast_signed().into(),
            request.now.into(),
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            model.into(),
        ];
        match self.database.rows(CLAIMING, &CLAIM, values).await {
            Ok(rows) => rows
                .first()
                .map(|row| Sandbox::try_from(sandbox_in(CLAIMING, row)?))
                .transpose(),
            Err(StoreError::Database { source, .. })
                if sqlstate(&source).as_deref() == Some(UNIQUE_VIOLATION) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores a spare sandbox that is to be started, if a place is free that nobody waits for, and `kept_free` places remain
    /// free besides.
    pub async fn add_spare(
        &self,
        new: &NewSandbox,
        cap: u32,
        kept_free: u32,
        keyring: &Keyring,
        now: DateTime<Utc>,
    ) -> Result<Option<AnySandbox>, StoreError> {
        let id = new.id.as_uuid();
        let token = seal_text(keyring, id, GATEWAY_TOKEN, &new.gateway_token)?;
        let seed = seal_seed(keyring, id, DEVICE_SEED, &new.device_seed)?;
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let ahead = places_ahead(&transaction, &new.host, None, now).await?;
            if ahead + u64::from(kept_free) >= u64::from(cap) {
                return Ok(None);
            }
            let insert = insertion(None, new, token, seed, SandboxStatus::Requested, now);
            let row = transaction.query_one_raw(insert).await?;
            transaction.commit().await?;
            row.map(|row| Model::from_query_result(&row, "s_"))
                .transpose()
        };
        let row = self.database.run("adding a spare sandbox", work).await?;
        row.map(AnySandbox::try_from).transpose()
    }

    /// Begins to remove spare sandboxes of this host and its engine, at most `count`: first those that are not ready, then
    /// the oldest.
    pub async fn discard_spares(
        &self,
        host: &Host,
        count: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<AnySandbox>, StoreError> {
        let operation = "discarding spare sandboxes";
        let values = [
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            i64::from(count).into(),
            now.into(),
            with_place().into(),
        ];
        let rows = self.database.rows(operation, &DISCARD, values).await?;
        rows.iter()
            .map(|row| AnySandbox::try_from(sandbox_in(operation, row)?))
            .collect()
    }

    /// Begins to remove a spare sandbox. Returns `false` if somebody has claimed it, or the start is over.
    pub async fn discard(
        &self,
        start: SandboxStart,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(
                Column::Status,
                Expr::value(SandboxStatus::Removing.as_str()),
            )
            .col_expr(Column::Endpoint, Expr::value(None::<String>))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.eq(start.sandbox.as_uuid()))
            .filter(Column::Start.eq(start.start.cast_signed()))
            .filter(Column::UserId.is_null())
            .filter(Column::Status.is_in(with_place()));
        self.database
            .execute("discarding a spare sandbox", update)
            .await
    }

    /// Deletes the row of a spare sandbox that is being removed, after its container, its model key and its volume are
    /// gone. May be repeated.
    pub async fn forget_spare(&self, sandbox: SandboxId) -> Result<(), StoreError> {
        let values = [sandbox.as_uuid().into()];
        let forgetting = self
            .database
            .rows("forgetting a spare sandbox", FORGET, values);
        forgetting.await.map(drop)
    }

    /// Who has places and who wants one.
    pub async fn demand(&self, host: &Host) -> Result<Demand, StoreError> {
        let operation = "counting who wants a place";
        let values = [
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            with_place().into(),
            startable().into(),
        ];
        let row = self.database.row(operation, &DEMAND, values).await?;
        let count = |column| -> Result<u32, StoreError> {
            let count: i64 = read(operation, &row, column)?;
            Ok(u32::try_from(count).unwrap_or(u32::MAX))
        };
        Ok(Demand {
            taken: count("taken")?,
            ready_spares: count("ready_spares")?,
            starting_spares: count("starting_spares")?,
            queued: count("queued")?,
        })
    }

    /// The ready sandboxes of a host whose users have used them least recently and not since `unused_since`, at most `limit`
    /// and without those in `except`. Leaves out those that must not sleep: somebody waits for an answer or is in a call, or the policy is to stay
    /// awake; and those of suspended users.
    pub async fn least_recently_used(
        &self,
        host: &Host,
        except: &[SandboxId],
        limit: u32,
        unused_since: DateTime<Utc>,
    ) -> Result<Vec<(UserId, SandboxStart)>, StoreError> {
        let operation = "reading the sandboxes that are used least";
        let except: Vec<_> = except.iter().map(SandboxId::as_uuid).collect();
        let values = [
            host.name.as_str().into(),
            host.engine.as_deref().into(),
            except.into(),
            i64::from(limit).into(),
            unused_since.into(),
        ];
        let rows = self.database.rows(operation, &LEAST_USED, values).await?;
        rows.iter()
            .map(|row| {
                let user = UserId::from_uuid(read(operation, row, "user_id")?);
                let start = SandboxStart {
                    sandbox: SandboxId::from_uuid(read(operation, row, "id")?),
                    start: read::<i32>(operation, row, "start")?.cast_unsigned(),
                };
                Ok((user, start))
            })
            .collect()
    }
}

const CLAIMING: &str = "claiming a spare sandbox";

fn sandbox_in(operation: &'static str, row: &QueryResult) -> Result<Model, StoreError> {
    Model::from_query_result(row, "s_").map_err(|source| StoreError::Database { operation, source })
}
