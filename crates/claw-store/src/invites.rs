use chrono::{DateTime, Utc};
use claw_domain::InviteId;
use sea_orm::QueryResult;

use crate::{
    StoreError,
    calls::stored,
    database::{Database, read},
    text::storable,
};

const CREATE: &str = "
INSERT INTO invite (id, note, uses, expires_at, created_at) VALUES ($1, $2, $3, $4, $5)
RETURNING id";
const ALL: &str = "
SELECT id, note, uses, used, expires_at, created_at FROM invite ORDER BY created_at, id";
const REVOKE: &str = "DELETE FROM invite WHERE id = $1 RETURNING id";

/// The repository of invites. Only the database's owner may change it; `Newcomers::admit` uses them up.
#[derive(Clone)]
pub struct Invites {
    pub(crate) database: Database,
}

/// An invite, without its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The id, derived from the code.
    pub id: InviteId,
    /// The operator's note.
    pub note: String,
    /// How many newcomers it lets in.
    pub uses: u32,
    /// How many it has let in.
    pub used: u32,
    /// When it becomes invalid.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Invites {
    /// Stores a new invite.
    pub async fn create(&self, invite: &Invite) -> Result<(), StoreError> {
        let values = [
            invite.id.as_uuid().into(),
            storable(&invite.note).into_owned().into(),
            stored(invite.uses).into(),
            invite.expires_at.into(),
            invite.created_at.into(),
        ];
        let rows = self.database.rows("storing an invite", CREATE, values);
        rows.await.map(drop)
    }

    /// All invites that were not revoked, oldest first, also those that are used up or expired.
    pub async fn all(&self) -> Result<Vec<Invite>, StoreError> {
        let rows = self.database.rows(READING, ALL, []).await?;
        rows.iter().map(Invite::try_from).collect()
    }

    /// Deletes an invite; returns whether there was one. Those who came in with it stay.
    pub async fn revoke(&self, invite: InviteId) -> Result<bool, StoreError> {
        let values = [invite.as_uuid().into()];
        let rows = self.database.rows("revoking an invite", REVOKE, values);
        Ok(!rows.await?.is_empty())
    }
}

const READING: &str = "reading invites";

impl TryFrom<&QueryResult> for Invite {
    type Error = StoreError;

    fn try_from(row: &QueryResult) -> Result<Self, StoreError> {
        let count = |column| read(READING, row, column).map(i32::cast_unsigned);
        Ok(Self {
            id: InviteId::from_uuid(read(READING, row, "id")?),
            note: read(READING, row, "note")?,
            uses: count("uses")?,
            used: count("used")?,
            expires_at: read(READING, row, "expires_at")?,
            created_at: read(READING, row, "created_at")?,
        })
    }
}
