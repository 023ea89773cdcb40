use claw_domain::{Address, PhoneNumber, UserId, WhatsAppUserId};
use sea_orm::EntityTrait;

use crate::{StoreError, database::Database, entity::user};

/// People.
#[derive(Clone)]
pub struct Users {
    pub(crate) database: Database,
}

impl Users {
    /// Where to answer a person; `None` for somebody we never heard from.
    pub async fn address_of(&self, user: UserId) -> Result<Option<Address>, StoreError> {
        let query = user::Entity::find_by_id(user.as_uuid()).one(&self.database.pool);
        let row = self.database.run("reading a user", query).await?;
        row.map(|row| address(row.phone, row.wa_user_id))
            .transpose()
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
