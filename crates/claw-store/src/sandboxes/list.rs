use claw_domain::SandboxStatus;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Sandbox, Sandboxes};
use crate::{
    StoreError,
    entity::sandbox::{Column, Entity},
};

/// Which sandboxes to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxFilter {
    /// Only those in this state.
    pub status: Option<SandboxStatus>,
    /// How many at most.
    pub limit: u64,
}

/// Some of the sandboxes that match a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSandboxes {
    /// The matching sandboxes up to the limit, ordered by the last change of their rows, the oldest change first.
    pub sandboxes: Vec<Sandbox>,
    /// The number of all that match.
    pub total: u64,
}

impl Sandboxes {
    /// Users' sandboxes on all hosts; the longest unchanged first.
    pub async fn list(&self, filter: SandboxFilter) -> Result<ListedSandboxes, StoreError> {
        let mut matching = Entity::find().filter(Column::UserId.is_not_null());
        if let Some(status) = filter.status {
            matching = matching.filter(Column::Status.eq(status.as_str()));
        }
        let first = matching
            .clone()
            .order_by_asc(Column::UpdatedAt)
            .limit(filter.limit);
        let pool = &self.database.pool;
        let rows = self
            .database
            .run("listing sandboxes", first.all(pool))
            .await?;
        let total = self
            .database
            .run("counting sandboxes", matching.count(pool))
            .await?;
        Ok(ListedSandboxes {
            sandboxes: rows
                .into_iter()
                .map(Sandbox::try_from)
                .collect::<Result<_, _>>()?,
            total,
        })
    }
}
