mod pin;

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Address, CallId, PhoneNumber, UserId, WhatsAppUserId};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, UpdateMany,
    sea_query::{Expr, Func},
};

pub use pin::{PinOutcome, PinTry};

use crate::{
    Sandbox, StoreError,
    database::{Database, columns, joined, read},
    entity::{
        sandbox,
        user::{Column, Entity, Model},
    },
    sandboxes::states::with_agent,
};

static ACTIVE_IN: LazyLock<String> = LazyLock::new(|| {
    include_str!("sql/active_in.sql").replace("{sandbox}", &columns::<sandbox::Entity>("s"))
});

/// How long a user is not warned again about calls without proof.
const WARNED_FOR: TimeDelta = TimeDelta::hours(24);

/// The repository of users.
#[derive(Clone)]
pub struct Users {
    pub(crate) database: Database,
}

/// The address and the settings in a user's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The address for messages to the user.
    pub address: Address,
    /// IANA name of the time zone the user set; `None` if the phone number decides.
    pub zone: Option<String>,
    /// The quiet hours the user set, in local time: `22:00-07:00`, or `off` for none; `None` for the default
    /// ones.
    pub quiet: Option<String>,
    /// Whether the user turned proactive messages off.
    pub updates_stopped: bool,
    /// BCP 47 tag of the spoken language the user set; `None` if the phone number decides.
    pub language: Option<String>,
    /// When the user last wrote to us.
    pub last_written_at: Option<DateTime<Utc>>,
    /// Whether we may write to the user: they have written, or asked for a message on the phone.
    pub has_chat: bool,
}

impl Users {
    /// The address of a user; `None` for an unknown one.
    pub async fn address_of(&self, user: UserId) -> Result<Option<Address>, StoreError> {
        let row = self.row_of(user).await?;
        row.map(|row| address(row.phone, row.wa_user_id))
            .transpose()
    }

    /// The profile of a user; `None` for an unknown one.
    pub async fn profile(&self, user: UserId) -> Result<Option<Profile>, StoreError> {
        let row = self.row_of(user).await?;
        row.map(Profile::try_from).transpose()
    }

    /// The users of a partition (0 to 63) whom a new owner has to serve, with their sandboxes: those with an
    /// agent to connect to, unanswered messages or held replies. Users who wait for an answer come first,
    /// the longest waiting at the head. Not paged: a partition has a sixty-fourth of all users.
    pub async fn active_in(
        &self,
        partition: u16,
    ) -> Result<Vec<(UserId, Option<Sandbox>)>, StoreError> {
        let rows = self
            .database
            .rows(
                READING_ACTIVE,
                &ACTIVE_IN,
                [i32::from(partition).into(), with_agent().into()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let user = UserId::from_uuid(read(READING_ACTIVE, row, "user_id")?);
                let sandbox: Option<sandbox::Model> = joined(READING_ACTIVE, row, "s")?;
                Ok((user, sandbox.map(Sandbox::try_from).transpose()?))
            })
            .collect()
    }

    /// Sets or clears the time zone, an IANA name that is not checked here. Fails with
    /// [`StoreError::Missing`] for an unknown user, as do all the setters.
    pub async fn set_zone(&self, user: UserId, zone: Option<&str>) -> Result<(), StoreError> {
        let update = update(user).col_expr(Column::Zone, Expr::value(zone));
        self.database
            .update("user", "setting a time zone", update)
            .await
    }

    /// Sets or clears the quiet hours: `off` or hours like `22:00-07:00`. The database refuses any other
    /// format.
    pub async fn set_quiet(&self, user: UserId, quiet: Option<&str>) -> Result<(), StoreError> {
        let update = update(user).col_expr(Column::Quiet, Expr::value(quiet));
        self.database
            .update("user", "setting quiet hours", update)
            .await
    }

    /// Sets or clears the spoken language, a BCP 47 tag (`de`, `pt-BR`). The database refuses any other
    /// format.
    pub async fn set_language(
        &self,
        user: UserId,
        language: Option<&str>,
    ) -> Result<(), StoreError> {
        let update = update(user).col_expr(Column::Language, Expr::value(language));
        self.database
            .update("user", "setting a language", update)
            .await
    }

    /// Turns proactive messages off. A repetition keeps the time of the first call.
    pub async fn stop_updates(&self, user: UserId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let first = Func::coalesce([Expr::col(Column::UpdatesStoppedAt), Expr::value(now)]);
        let update = update(user).col_expr(Column::UpdatesStoppedAt, first.into());
        self.database
            .update("user", "turning proactive messages off", update)
            .await
    }

    /// Turns proactive messages on.
    pub async fn resume_updates(&self, user: UserId) -> Result<(), StoreError> {
        let never = Expr::value(None::<DateTime<Utc>>);
        let update = update(user).col_expr(Column::UpdatesStoppedAt, never);
        self.database
            .update("user", "turning proactive messages on", update)
            .await
    }

    /// Claims the only warning within 24 hours about calls without proof for this call. Repeating the claim for the
    /// same call succeeds; `false` if another call has it, or the user is unknown.
    pub async fn claim_warning(
        &self,
        user: UserId,
        call: CallId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let is_free = Column::WarnedAt
            .is_null()
            .or(Column::WarnedAt.lte(now - WARNED_FOR))
            .or(Column::WarnedOfCall.eq(call.as_uuid()));
        let update = update(user)
            .col_expr(Column::WarnedAt, Expr::value(now))
            .col_expr(Column::WarnedOfCall, Expr::value(call.as_uuid()))
            .filter(is_free);
        self.database
            .execute("claiming a warning about a call", update)
            .await
    }

    async fn row_of(&self, user: UserId) -> Result<Option<Model>, StoreError> {
        let query = Entity::find_by_id(user.as_uuid()).one(&self.database.pool);
        self.database.run("reading a user", query).await
    }
}

const READING_ACTIVE: &str = "reading the active users of a partition";

fn update(user: UserId) -> UpdateMany<Entity> {
    Entity::update_many().filter(Column::Id.eq(user.as_uuid()))
}

impl TryFrom<Model> for Profile {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        Ok(Self {
            address: address(row.phone, row.wa_user_id)?,
            zone: row.zone,
            quiet: row.quiet,
            updates_stopped: row.updates_stopped_at.is_some(),
            language: row.language,
            last_written_at: row.last_inbound_at,
            has_chat: row.last_inbound_at.is_some() || row.template_asked_at.is_some(),
        })
    }
}

/// The address in a user's row: the phone number if there is one, as in [`Address`].
pub(crate) fn address(
    phone: Option<String>,
    wa_user_id: Option<String>,
) -> Result<Address, StoreError> {
    if let Some(phone) = phone {
        let phone = PhoneNumber::try_from(phone).map_err(|_| StoreError::Corrupt {
            column: "user.phone",
        })?;
        return Ok(Address::Phone(phone));
    }
    let corrupt = StoreError::Corrupt {
        column: "user.wa_user_id",
    };
    match wa_user_id.map(WhatsAppUserId::try_from) {
        Some(Ok(id)) => Ok(Address::WhatsApp(id)),
        Some(Err(_)) | None => Err(corrupt),
    }
}
