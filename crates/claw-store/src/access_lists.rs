use std::fmt;

use chrono::{DateTime, Utc};
use claw_domain::UserId;
use sea_orm::QueryResult;
use strum::{EnumString, IntoStaticStr};

use crate::{
    StoreError,
    database::{Database, read},
    text::storable,
};

/// A block aborts turns, as a suspension does; the user's row says so after the block.
const PUT: &str = "
WITH stopped AS (UPDATE \"user\" SET last_suspended_at = $4 WHERE id = $1 AND $2 = 'block')
INSERT INTO access_list (user_id, list, note, since) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE SET list = $2, note = $3, since = $4
RETURNING user_id";
const REMOVE: &str = "DELETE FROM access_list WHERE user_id = $1 AND list = $2 RETURNING user_id";
const ALL: &str = "SELECT user_id, list, note, since FROM access_list ORDER BY since, user_id";

/// The operator's lists of users who come in whatever the policy says, and of users from and to whom nothing
/// passes. A user is on one list at most, and need not be known.
#[derive(Clone)]
pub struct AccessLists {
    pub(crate) database: Database,
}

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AccessList {
    /// Its users come in, whatever the policy says.
    Allow,
    /// Nothing from or to its users passes.
    Block,
}

/// A user who is on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUser {
    /// The id, derived from the number.
    pub user: UserId,
    /// The list.
    pub list: AccessList,
    /// The operator's note.
    pub note: String,
    /// When the user was put on the list.
    pub since: DateTime<Utc>,
}

impl AccessLists {
    /// Puts a user on a list, and takes them off the other one. Only the database's owner may.
    pub async fn put(
        &self,
        user: UserId,
        list: AccessList,
        note: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let values = [
            user.as_uuid().into(),
            list.as_str().into(),
            storable(note).into_owned().into(),
            now.into(),
        ];
        let rows = self.database.rows("putting a user on a list", PUT, values);
        rows.await.map(drop)
    }

    /// Takes a user off a list; returns whether they were on it. Only the database's owner may.
    pub async fn remove(&self, user: UserId, list: AccessList) -> Result<bool, StoreError> {
        let values = [user.as_uuid().into(), list.as_str().into()];
        let operation = "taking a user off a list";
        let rows = self.database.rows(operation, REMOVE, values).await?;
        Ok(!rows.is_empty())
    }

    /// Everybody who is on a list, in the order in which they were put there.
    pub async fn all(&self) -> Result<Vec<ListedUser>, StoreError> {
        let rows = self.database.rows(READING, ALL, []).await?;
        rows.iter().map(ListedUser::try_from).collect()
    }
}

const READING: &str = "reading the allow and block lists";

impl AccessList {
    /// The name in storage.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The list with this name in a column.
    pub(crate) fn stored(name: &str) -> Result<Self, StoreError> {
        name.parse().map_err(|_| StoreError::Corrupt {
            column: "access_list.list",
        })
    }
}

impl fmt::Display for AccessList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<&QueryResult> for ListedUser {
    type Error = StoreError;

    fn try_from(row: &QueryResult) -> Result<Self, StoreError> {
        let list: String = read(READING, row, "list")?;
        Ok(Self {
            user: UserId::from_uuid(read(READING, row, "user_id")?),
            list: AccessList::stored(&list)?,
            note: read(READING, row, "note")?,
            since: read(READING, row, "since")?,
        })
    }
}
