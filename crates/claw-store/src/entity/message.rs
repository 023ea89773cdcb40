use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, DeriveEntityModel)]
#[sea_orm(table_name = "message")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) position: i64,
    pub(crate) user_id: Uuid,
    pub(crate) role: String,
    pub(crate) status: String,
    pub(crate) source: String,
    pub(crate) kind: String,
    pub(crate) content: String,
    pub(crate) wamid: Option<String>,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) completed_at: Option<DateTimeUtc>,
    pub(crate) sequence: Option<i64>,
    #[sea_orm(column_name = "burst")]
    pub(crate) batch: Option<Uuid>,
    pub(crate) call_id: Option<Uuid>,
    pub(crate) turn: Option<i32>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", self.id)
    }
}
