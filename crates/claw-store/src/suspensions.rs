use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::UserId;
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::{
    StoreError,
    database::{Database, read},
};

const SUSPEND: &str = include_str!("sql/suspend.sql");
const RESUME: &str = include_str!("sql/resume.sql");
const SUSPEND_ALL: &str = include_str!("sql/suspend_all.sql");
const RESUME_ALL: &str = include_str!("sql/resume_all.sql");
const IN_FORCE: &str = include_str!("sql/suspensions.sql");
const SUSPENDED_SINCE: &str = include_str!("sql/suspended_since.sql");

const IS_SUSPENDED: &str = include_str!("sql/is_suspended.sql");

/// How far the clocks of the machines that stored a message and a suspension may differ.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// The repository of suspensions: of users, and of everybody.
#[derive(Clone)]
pub struct Suspensions {
    pub(crate) database: Database,
}

/// A suspension in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// When it began; a changed reason does not change it.
    pub since: DateTime<Utc>,
    /// The operator's reason, for the operator.
    pub reason: String,
    /// Whether the operator has put the user on the block list. Such a user is told nothing, and what is for them is
    /// dropped and does not wait.
    pub is_block: bool,
}

/// All suspensions in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuspensionSet {
    /// The suspension of everybody.
    pub everybody: Option<Suspension>,
    /// The suspensions of single users, and the known users on the block list.
    pub users: HashMap<UserId, Suspension>,
}

impl SuspensionSet {
    /// The suspension of this user, which may be that of everybody; `None` if the user is not suspended.
    pub fn of(&self, user: UserId) -> Option<&Suspension> {
        self.users.get(&user).or(self.everybody.as_ref())
    }

    /// Whether this user is on the block list.
    pub fn is_blocked(&self, user: UserId) -> bool {
        self.users.get(&user).is_some_and(|known| known.is_block)
    }
}

/// What suspending or resuming has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspensionChange {
    /// Whether the suspension was in force before.
    pub was_suspended: bool,
    /// The number of users whom the change concerns.
    pub users: u64,
}

/// Every call may be repeated.
impl Suspensions {
    /// Suspends a user, or changes the reason of their suspension. `None` for an unknown user.
    pub async fn suspend(
        &self,
        user: UserId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<SuspensionChange>, StoreError> {
        let values = [user.as_uuid().into(), now.into(), reason.into()];
        let rows = self.database.rows(SUSPENDING, SUSPEND, values).await?;
        change_of_one(SUSPENDING, &rows)
    }

    /// Ends the suspension of a user. `None` for an unknown user.
    pub async fn resume(&self, user: UserId) -> Result<Option<SuspensionChange>, StoreError> {
        let values = [user.as_uuid().into()];
        let rows = self.database.rows(RESUMING, RESUME, values).await?;
        change_of_one(RESUMING, &rows)
    }

    /// Suspends everybody, including users to come, or changes the reason of that suspension.
    pub async fn suspend_all(
        &self,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<SuspensionChange, StoreError> {
        let values = [now.into(), reason.into()];
        let row = self.database.row(SUSPENDING, SUSPEND_ALL, values).await?;
        change_of_all(SUSPENDING, &row)
    }

    /// Ends the suspension of everybody. Users who are suspended themselves stay so.
    pub async fn resume_all(&self) -> Result<SuspensionChange, StoreError> {
        let row = self.database.row(RESUMING, RESUME_ALL, []).await?;
        change_of_all(RESUMING, &row)
    }

    /// Every suspension in force.
    pub async fn in_force(&self) -> Result<SuspensionSet, StoreError> {
        let mut set = SuspensionSet::default();
        for row in self.database.rows(READING, IN_FORCE, []).await? {
            let suspension = Suspension {
                since: read(READING, &row, "suspended_at")?,
                reason: read(READING, &row, "suspension_reason")?,
                is_block: read(READING, &row, "is_block")?,
            };
            match read::<Option<Uuid>>(READING, &row, "user_id")? {
                Some(user) => drop(set.users.insert(UserId::from_uuid(user), suspension)),
                None => set.everybody = Some(suspension),
            }
        }
        Ok(set)
    }

    /// Whether a suspension or a block of this user, or a suspension of everybody, has begun since this time, or up to
    /// a minute before it.
    pub async fn has_suspended_since(
        &self,
        user: UserId,
        since: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let values = [user.as_uuid().into(), (since - CLOCK_SKEW).into()];
        let row = self.database.row(READING, SUSPENDED_SINCE, values).await?;
        read(READING, &row, "suspended")
    }
}

/// The condition that a user is suspended, alone or with everybody, or blocked. `user` is the expression for their id.
pub(crate) fn is_suspended(user: &str) -> String {
    IS_SUSPENDED.replace("{user}", user)
}

const SUSPENDING: &str = "suspending";
const RESUMING: &str = "resuming";
const READING: &str = "reading suspensions";

fn change_of_one(
    operation: &'static str,
    rows: &[QueryResult],
) -> Result<Option<SuspensionChange>, StoreError> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(SuspensionChange {
        was_suspended: read(operation, row, "was_suspended")?,
        users: 1,
    }))
}

fn change_of_all(
    operation: &'static str,
    row: &QueryResult,
) -> Result<SuspensionChange, StoreError> {
    Ok(SuspensionChange {
        was_suspended: read(operation, row, "was_suspended")?,
        users: read::<i64>(operation, row, "users")?.cast_unsigned(),
    })
}
