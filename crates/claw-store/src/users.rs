mod pin;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{Address, PhoneNumber, UserId, WhatsAppUserId};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, UpdateMany,
    sea_query::{Expr, Func},
};

pub use pin::PinOutcome;

use crate::{
    Sandbox, StoreError,
    database::{Database, columns, joined, read},
    entity::{
        sandbox,
        user::{Column, Entity, Model},
    },
};

static ACTIVE_IN: LazyLock<String> = LazyLock::new(|| {
    include_str!("sql/active_in.sql").replace("{sandbox}", &columns::<sandbox::Entity>("s"))
});

/// People.
#[derive(Clone)]
pub struct Users {
    pub(crate) database: Database,
}

/// What there is to know about a person before speaking to them first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Where they can be answered.
    pub address: Address,
    /// IANA's name of the time zone they said they are in; without it their number has to tell.
    pub zone: Option<String>,
    /// When they want no proactive texts, by their clock: `22:00-07:00`, or `off` for no such hours;
    /// without it what holds for everybody.
    pub quiet: Option<String>,
    /// They want no proactive texts at all.
    pub updates_stopped: bool,
    /// BCP 47's name of the language they want to speak in; without it their number has to tell.
    pub language: Option<String>,
}

impl Users {
    /// Where to answer a person; `None` for somebody we never heard from.
    pub async fn address_of(&self, user: UserId) -> Result<Option<Address>, StoreError> {
        let row = self.row_of(user).await?;
        row.map(|row| address(row.phone, row.wa_user_id))
            .transpose()
    }

    /// What a person told us about themselves; `None` for somebody we never heard from.
    pub async fn profile(&self, user: UserId) -> Result<Option<Profile>, StoreError> {
        let row = self.row_of(user).await?;
        row.map(Profile::try_from).transpose()
    }

    /// The people of a partition (of 64) who have a ready sandbox, unanswered messages or held texts: whom a
    /// new owner has to look after. Those who wait for an answer come first, the longest waiting at the
    /// head. All of them at once: a sixty-fourth of everybody at most.
    pub async fn active_in(
        &self,
        partition: u16,
    ) -> Result<Vec<(UserId, Option<Sandbox>)>, StoreError> {
        let rows = self
            .database
            .rows(LOOKING, &ACTIVE_IN, [i32::from(partition).into()])
            .await?;
        rows.iter()
            .map(|row| {
                let user = UserId::from_uuid(read(LOOKING, row, "user_id")?);
                let sandbox: Option<sandbox::Model> = joined(LOOKING, row, "s")?;
                Ok((user, sandbox.map(Sandbox::try_from).transpose()?))
            })
            .collect()
    }

    /// In which time zone a person is, by IANA's name; `None`: as their number says. Not checked here.
    /// [`StoreError::Missing`] for somebody we never heard from, as with all that follow.
    pub async fn set_zone(&self, user: UserId, zone: Option<&str>) -> Result<(), StoreError> {
        let update = update(user).col_expr(Column::Zone, Expr::value(zone));
        self.database
            .update("user", "keeping a time zone", update)
            .await
    }

    /// When a person wants no proactive texts: `off`, or hours like `22:00-07:00`; `None`: as everybody.
    /// Anything else is refused by the database.
    pub async fn set_quiet(&self, user: UserId, quiet: Option<&str>) -> Result<(), StoreError> {
        let update = update(user).col_expr(Column::Quiet, Expr::value(quiet));
        self.database
            .update("user", "keeping quiet hours", update)
            .await
    }

    /// Which language a person wants to speak in, by BCP 47's name (`de`, `pt-BR`); `None`: as their number
    /// says. What has not this form is refused by the database.
    pub async fn set_language(
        &self,
        user: UserId,
        language: Option<&str>,
    ) -> Result<(), StoreError> {
        let update = update(user).col_expr(Column::Language, Expr::value(language));
        self.database
            .update("user", "keeping a language", update)
            .await
    }

    /// A person wants no proactive texts. The first time counts.
    pub async fn stop_updates(&self, user: UserId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let first = Func::coalesce([Expr::col(Column::UpdatesStoppedAt), Expr::value(now)]);
        let update = update(user).col_expr(Column::UpdatesStoppedAt, first.into());
        self.database
            .update("user", "stopping updates", update)
            .await
    }

    /// A person wants proactive texts again.
    pub async fn resume_updates(&self, user: UserId) -> Result<(), StoreError> {
        let never = Expr::value(None::<DateTime<Utc>>);
        let update = update(user).col_expr(Column::UpdatesStoppedAt, never);
        self.database
            .update("user", "resuming updates", update)
            .await
    }

    async fn row_of(&self, user: UserId) -> Result<Option<Model>, StoreError> {
        let query = Entity::find_by_id(user.as_uuid()).one(&self.database.pool);
        self.database.run("reading a user", query).await
    }
}

const LOOKING: &str = "reading whom to look after";

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
        })
    }
}

/// The address in a user's row. The number wins, as in [`Address`].
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
