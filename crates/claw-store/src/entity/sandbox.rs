//! A sandbox's row without its secrets: only the query for the secrets reads them.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, DeriveEntityModel)]
#[expect(
    clippy::struct_field_names,
    reason = "`model` is the column's name; sea-orm requires the row to be called `Model`"
)]
#[sea_orm(table_name = "sandbox")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) host: String,
    pub(crate) container_id: Option<String>,
    pub(crate) port: Option<i32>,
    pub(crate) endpoint: Option<String>,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) start: i32,
    pub(crate) cause: Option<Uuid>,
    pub(crate) attempt: i32,
    pub(crate) model: String,
    pub(crate) model_key_hash: Option<String>,
    pub(crate) model_key_name: Option<String>,
    pub(crate) model_key_state: String,
    pub(crate) transcript_cursor: Option<String>,
    pub(crate) boot_id: Option<String>,
    pub(crate) engine: Option<String>,
    pub(crate) policy: String,
    pub(crate) wake_at: Option<DateTimeUtc>,
    pub(crate) wake_for: Option<String>,
    pub(crate) job_wakes: i32,
    pub(crate) job_wakes_since: DateTimeUtc,
    pub(crate) failures: i32,
    pub(crate) retry_at: Option<DateTimeUtc>,
    pub(crate) requested_at: DateTimeUtc,
    pub(crate) updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
