use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "call")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) attestation: Option<String>,
    pub(crate) started_at: DateTimeUtc,
    pub(crate) turns: i32,
    pub(crate) last_turn: i32,
    pub(crate) last_spoken_at: Option<DateTimeUtc>,
    pub(crate) setup_awaited: bool,
    pub(crate) opened_at: Option<DateTimeUtc>,
    pub(crate) unstored_turn: i32,
    pub(crate) pin_tries: i32,
    pub(crate) wrong_pins: i32,
    pub(crate) ended_at: Option<DateTimeUtc>,
    pub(crate) duration_seconds: Option<i32>,
    pub(crate) outcome: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
