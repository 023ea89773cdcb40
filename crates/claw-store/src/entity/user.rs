//! A user's row without the PIN: only the query that checks the PIN reads it.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) phone: Option<String>,
    pub(crate) wa_user_id: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) quiet: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) updates_stopped_at: Option<DateTimeUtc>,
    pub(crate) last_inbound_at: Option<DateTimeUtc>,
    pub(crate) template_asked_at: Option<DateTimeUtc>,
    pub(crate) warned_of_call: Option<Uuid>,
    pub(crate) warned_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.id)
    }
}
