use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{MessageId, SandboxId, SandboxStatus, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    QueryFilter, Statement,
};
use secrecy::{SecretBox, SecretString};
use uuid::Uuid;

use super::{
    Host, Sandbox, Sandboxes,
    secrets::{DEVICE_SEED, GATEWAY_TOKEN, seal_seed, seal_text},
    sleep::{IS_JOB, due},
    states::{is_startable_by_request, with_place},
};
use crate::{
    Keyring, StoreError,
    database::{columns, statement},
    entity::sandbox::{Column, Entity, Model},
    suspensions::is_suspended,
};

static INSERT: LazyLock<String> =
    LazyLock::new(|| returning(include_str!("../sql/insert_sandbox.sql")));
static RESTART: LazyLock<String> =
    LazyLock::new(|| returning(include_str!("../sql/restart_sandbox.sql")));
static ADMIT: LazyLock<String> = LazyLock::new(|| {
    returning(include_str!("../sql/admit_queued.sql")).replace("{waiting}", &waiting("$5"))
});
static PLACES_AHEAD: LazyLock<String> = LazyLock::new(|| {
    include_str!("../sql/places_ahead.sql")
        .replace("{waiting}", &waiting("$3"))
        .replace("{due}", &due("$2", "$3", "wake_at <= $4", "$4"))
        .replace("{is_job}", IS_JOB)
});

/// A request for a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct SandboxRequest {
    /// The user who needs a sandbox.
    pub user: UserId,
    /// The message that waits for it.
    pub cause: MessageId,
    /// The number of earlier requests for the same message.
    pub attempt: u32,
    /// The number of places on all hosts together.
    pub cap: u32,
    /// The time of the request.
    pub now: DateTime<Utc>,
}

/// The properties of a new sandbox. If the user has one already, only `host` counts, and only if it restarts.
#[derive(Debug)]
pub struct NewSandbox {
    /// The id of the new sandbox.
    pub id: SandboxId,
    /// The host it will run on.
    pub host: Host,
    /// The base name of its containers.
    pub container_name: String,
    /// The language model it will use.
    pub model: String,
    /// The token that clients of its OpenClaw gateway must present.
    pub gateway_token: SecretString,
    /// The seed of the Ed25519 key with which we authenticate to it as a device.
    pub device_seed: SecretBox<[u8; 32]>,
}

impl Sandboxes {
    /// Returns the user's sandbox, and creates one if there is none. A new one is `Requested`, or `Queued` if no place is
    /// free after those who come first. One that is asleep, failed or removed starts again for another message or for a
    /// later attempt of the same message, unless another engine has its volume.
    ///
    /// Serialised across all processes so that the number of places is never exceeded: four short round trips.
    pub async fn request(
        &self,
        request: &SandboxRequest,
        new: &NewSandbox,
        keyring: &Keyring,
    ) -> Result<Sandbox, StoreError> {
        let id = new.id.as_uuid();
        let token = seal_text(keyring, id, GATEWAY_TOKEN, &new.gateway_token)?;
        let seed = seal_seed(keyring, id, DEVICE_SEED, &new.device_seed)?;
        let insert = |status| insertion(Some(request), new, token, seed, status, request.now);
        let work = self.request_with_lock(request, new, insert);
        self.database
            .run("requesting a sandbox", work)
            .await?
            .try_into()
    }

    /// Moves queued sandboxes to `Requested` while places are free, and returns them: those that have started before first,
    /// and then the oldest request first. Those of other engines wait for a provisioner there; one that has never started
    /// moves to this host.
    pub async fn admit_queued(
        &self,
        host: &Host,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<Sandbox>, StoreError> {
        let work = async {
            let transaction = self.database.begin_with_capacity_lock().await?;
            let values = [
                i64::from(cap).into(),
                now.into(),
                with_place().into(),
                host.name.as_str().into(),
                host.engine.as_deref().into(),
            ];
            let rows = transaction.query_all_raw(statement(&ADMIT, values)).await?;
            transaction.commit().await?;
            rows.iter()
                .map(|row| Model::from_query_result(row, "s_"))
                .collect::<Result<Vec<_>, _>>()
        };
        let rows = self
            .database
            .run("admitting queued sandboxes", work)
            .await?;
        rows.into_iter().map(Sandbox::try_from).collect()
    }

    async fn request_with_lock(
        &self,
        request: &SandboxRequest,
        new: &NewSandbox,
        insert: impl FnOnce(SandboxStatus) -> Statement,
    ) -> Result<Model, DbErr> {
        let transaction = self.database.begin_with_capacity_lock().await?;
        let found = Entity::find().filter(Column::UserId.eq(request.user.as_uuid()));
        let row = match found.one(&transaction).await? {
            Some(row) if !restarts(&row, request, &new.host) => return Ok(row),
            Some(row) => {
                let ahead = places_ahead(&transaction, &new.host, Some(row.id), request.now);
                let status = initial_status(ahead.await?, request.cap);
                one(&transaction, restart(&row, request, new, status)).await?
            }
            None => {
                let ahead = places_ahead(&transaction, &new.host, None, request.now);
                let status = initial_status(ahead.await?, request.cap);
                match transaction.query_one_raw(insert(status)).await? {
                    Some(row) => Model::from_query_result(&row, "s_")?,
                    // Since the query above, the user has claimed a spare one.
                    None => again(&transaction, request.user).await?,
                }
            }
        };
        transaction.commit().await?;
        Ok(row)
    }
}

/// Whether a request restarts the sandbox. A repetition of the row's latest request, or of an earlier attempt for the
/// same message, does not: the start that it asked for was given up, or has done its work. Nor does one at a host whose
/// engine does not have the sandbox's volume.
fn restarts(row: &Model, request: &SandboxRequest, host: &Host) -> bool {
    let is_stopped = row.status.parse().is_ok_and(is_startable_by_request);
    let is_same_message = row.cause == Some(request.cause.as_uuid());
    let is_here = row.engine.is_none() || row.engine == host.engine;
    is_stopped
        && is_here
        && !(is_same_message && i64::from(request.attempt) <= i64::from(row.attempt))
}

/// The first state of a start: `Requested` if a place is free beyond those `ahead`, else `Queued`.
pub(super) fn initial_status(ahead: u64, cap: u32) -> SandboxStatus {
    if ahead < u64::from(cap) {
        SandboxStatus::Requested
    } else {
        SandboxStatus::Queued
    }
}

/// Counts the places that are taken, and those for others who come before the user whose row is `known`, or before a
/// newcomer (`None`). Users who wait for another engine do not come first.
pub(super) async fn places_ahead(
    transaction: &DatabaseTransaction,
    host: &Host,
    known: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let values = [
        with_place().into(),
        host.name.as_str().into(),
        host.engine.as_deref().into(),
        now.into(),
        known.into(),
    ];
    let row = transaction
        .query_one_raw(statement(&PLACES_AHEAD, values))
        .await?;
    let ahead: i64 = row.map_or(Ok(0), |row| row.try_get("", "ahead"))?;
    Ok(u64::try_from(ahead).unwrap_or_default())
}

/// The row of a user who has one.
async fn again(transaction: &DatabaseTransaction, user: UserId) -> Result<Model, DbErr> {
    let of_user = Entity::find().filter(Column::UserId.eq(user.as_uuid()));
    let row = of_user.one(transaction).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the sandbox just claimed".to_owned()))
}

async fn one(transaction: &DatabaseTransaction, statement: Statement) -> Result<Model, DbErr> {
    let row = transaction.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the sandbox just written".to_owned()))?;
    Model::from_query_result(&row, "s_")
}

/// The insertion of a user's sandbox or, without a request, of a spare one. Inserts nothing if the user has one.
pub(super) fn insertion(
    request: Option<&SandboxRequest>,
    new: &NewSandbox,
    gateway_token_sealed: String,
    device_seed_sealed: String,
    status: SandboxStatus,
    now: DateTime<Utc>,
) -> Statement {
    let values = [
        new.id.as_uuid().into(),
        request.map(|request| request.user.as_uuid()).into(),
        new.host.name.as_str().into(),
        new.container_name.as_str().into(),
        status.as_str().into(),
        request.map(|request| request.cause.as_uuid()).into(),
        request
            .map_or(0, |request| request.attempt.cast_signed())
            .into(),
        new.model.as_str().into(),
        gateway_token_sealed.into(),
        device_seed_sealed.into(),
        now.into(),
    ];
    statement(&INSERT, values)
}

fn restart(
    row: &Model,
    request: &SandboxRequest,
    new: &NewSandbox,
    status: SandboxStatus,
) -> Statement {
    let values = [
        row.id.into(),
        status.as_str().into(),
        request.cause.as_uuid().into(),
        request.attempt.cast_signed().into(),
        new.host.name.as_str().into(),
        request.now.into(),
    ];
    statement(&RESTART, values)
}

/// The condition of waiting in line for a place at this engine.
pub(super) fn waiting(engine: &str) -> String {
    include_str!("../sql/waiting.sql")
        .replace("{engine}", engine)
        .replace("{suspended}", &is_suspended("sandbox.user_id"))
}

pub(super) fn returning(sql: &str) -> String {
    sql.replace("{sandbox}", &columns::<Entity>("s"))
}
