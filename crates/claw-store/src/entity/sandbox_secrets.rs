//! The sealed columns of a sandbox's row.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, DeriveEntityModel)]
#[expect(
    clippy::struct_field_names,
    reason = "`model_key_sealed` is the column's name; sea-orm requires the row to be called `Model`"
)]
#[sea_orm(table_name = "sandbox")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) start: i32,
    pub(crate) gateway_token_sealed: String,
    pub(crate) device_seed_sealed: String,
    pub(crate) model_key_sealed: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secrets of sandbox {}", self.id)
    }
}
