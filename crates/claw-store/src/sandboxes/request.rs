use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{MessageId, SandboxId, SandboxStatus, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    PaginatorTrait, QueryFilter, Statement,
};
use secrecy::{SecretBox, SecretString};

use super::{
    Sandbox, Sandboxes,
    secrets::{DEVICE_SEED, GATEWAY_TOKEN, seal_seed, seal_text},
};
use crate::{
    Keyring, StoreError,
    database::{columns, statement},
    entity::sandbox::{Column, Entity, Model},
};

static INSERT: LazyLock<String> =
    LazyLock::new(|| returning(include_str!("../sql/insert_sandbox.sql")));
static RESTART: LazyLock<String> =
    LazyLock::new(|| returning(include_str!("../sql/restart_sandbox.sql")));
static ADMIT: LazyLock<String> =
    LazyLock::new(|| returning(include_str!("../sql/admit_queued.sql")));

/// Somebody wants a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct SandboxRequest {
    /// Who.
    pub user: UserId,
    /// The message that waits for it.
    pub cause: MessageId,
    /// For which time that message asks, from 0.
    pub attempt: u32,
    /// How many places there are, over all hosts.
    pub cap: u32,
    /// When.
    pub now: DateTime<Utc>,
}

/// What a new sandbox is to be. When there is a row already, only `host` and `model` count, and only when
/// it starts over.
#[derive(Debug)]
pub struct NewSandbox {
    /// Which.
    pub id: SandboxId,
    /// On which host it is to live.
    pub host: String,
    /// The name its container is to have.
    pub container_name: String,
    /// The language model it is to use.
    pub model: String,
    /// What its gateway asks of us.
    pub gateway_token: SecretString,
    /// The seed of the Ed25519 key we prove ourselves with.
    pub device_seed: SecretBox<[u8; 32]>,
}

/// The sandbox of somebody who asked for one.
#[derive(Debug, Clone)]
pub struct Requested {
    /// It, in whatever state it is by now.
    pub sandbox: Sandbox,
    /// This call made it or let it start over (it is `Requested`, or `Queued` when every place is taken);
    /// `false` for a repetition and for one that exists.
    pub created: bool,
}

impl Sandboxes {
    /// Gives a person a sandbox if they have none. One that failed or was removed starts over for a wish
    /// it has not seen: another message, or a later attempt of the same.
    ///
    /// Serialised over all processes, so that the places are never exceeded: four short round trips.
    pub async fn request(
        &self,
        wish: &SandboxRequest,
        new: &NewSandbox,
        keyring: &Keyring,
    ) -> Result<Requested, StoreError> {
        let id = new.id.as_uuid();
        let token = seal_text(keyring, id, GATEWAY_TOKEN, &new.gateway_token)?;
        let seed = seal_seed(keyring, id, DEVICE_SEED, &new.device_seed)?;
        let insert = |status| insertion(wish, new, token, seed, status);
        let work = self.request_with_places(wish, new, insert);
        let (row, created) = self.database.run("requesting a sandbox", work).await?;
        Ok(Requested {
            sandbox: row.try_into()?,
            created,
        })
    }

    /// Lets the longest waiting in as far as there are places; gives those that were let in.
    pub async fn admit_queued(
        &self,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<Sandbox>, StoreError> {
        let work = async {
            let transaction = self.database.begin_with_places().await?;
            let admit = statement(&ADMIT, [i64::from(cap).into(), now.into()]);
            let rows = transaction.query_all_raw(admit).await?;
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

    async fn request_with_places(
        &self,
        wish: &SandboxRequest,
        new: &NewSandbox,
        insert: impl FnOnce(SandboxStatus) -> Statement,
    ) -> Result<(Model, bool), DbErr> {
        let transaction = self.database.begin_with_places().await?;
        let of_user = Entity::find().filter(Column::UserId.eq(wish.user.as_uuid()));
        let row = match of_user.one(&transaction).await? {
            Some(row) if !starts_over(&row, wish) => return Ok((row, false)),
            Some(row) => {
                let status = next_in_line(&transaction, wish.cap).await?;
                one(&transaction, restart(&row, wish, new, status)).await?
            }
            None => {
                let status = next_in_line(&transaction, wish.cap).await?;
                one(&transaction, insert(status)).await?
            }
        };
        transaction.commit().await?;
        Ok((row, true))
    }
}

/// Whether a wish gives a given-up sandbox another start. A wish it has seen does not: it is a repetition
/// of the one that was given up.
fn starts_over(row: &Model, wish: &SandboxRequest) -> bool {
    let given_up = [SandboxStatus::Failed, SandboxStatus::Removed]
        .iter()
        .any(|status| status.as_str() == row.status);
    let same_message = row.cause == Some(wish.cause.as_uuid());
    given_up && !(same_message && i64::from(wish.attempt) <= i64::from(row.attempt))
}

/// What a newcomer becomes.
async fn next_in_line(transaction: &DatabaseTransaction, cap: u32) -> Result<SandboxStatus, DbErr> {
    let places = SandboxStatus::ALL
        .into_iter()
        .filter(|status| status.takes_a_place());
    let taken = Entity::find()
        .filter(Column::Status.is_in(places.map(SandboxStatus::as_str)))
        .count(transaction)
        .await?;
    Ok(if taken < u64::from(cap) {
        SandboxStatus::Requested
    } else {
        SandboxStatus::Queued
    })
}

async fn one(transaction: &DatabaseTransaction, statement: Statement) -> Result<Model, DbErr> {
    let row = transaction.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the sandbox just written".to_owned()))?;
    Model::from_query_result(&row, "s_")
}

fn insertion(
    wish: &SandboxRequest,
    new: &NewSandbox,
    gateway_token_sealed: String,
    device_seed_sealed: String,
    status: SandboxStatus,
) -> Statement {
    let values = [
        new.id.as_uuid().into(),
        wish.user.as_uuid().into(),
        new.host.as_str().into(),
        new.container_name.as_str().into(),
        status.as_str().into(),
        wish.cause.as_uuid().into(),
        wish.attempt.cast_signed().into(),
        new.model.as_str().into(),
        gateway_token_sealed.into(),
        device_seed_sealed.into(),
        wish.now.into(),
    ];
    statement(&INSERT, values)
}

fn restart(
    row: &Model,
    wish: &SandboxRequest,
    new: &NewSandbox,
    status: SandboxStatus,
) -> Statement {
    let values = [
        row.id.into(),
        status.as_str().into(),
        wish.cause.as_uuid().into(),
        wish.attempt.cast_signed().into(),
        new.host.as_str().into(),
        new.model.as_str().into(),
        wish.now.into(),
    ];
    statement(&RESTART, values)
}

fn returning(sql: &str) -> String {
    sql.replace("{sandbox}", &columns::<Entity>("s"))
}
