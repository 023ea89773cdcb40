use sea_orm::{ConnectionTrait, DbErr};
use secrecy::{ExposeSecret, SecretString};

use crate::database::statement;

/// The services' roles and their rights.
pub(crate) const ROLES: &str = include_str!("sql/roles.sql");

/// A role of the database as which a service connects. [`crate::migrate`] makes them all, without passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads and writes sandboxes; knows users by their ids only.
    Provisioner,
    /// Reads and writes users, messages and calls; sees no model key.
    Gateway,
    /// Reads and writes deliveries; sees a user's address, and no texts.
    Outbound,
}

impl Role {
    /// The roles that `roles.sql` creates.
    pub const ALL: [Self; 3] = [Self::Provisioner, Self::Gateway, Self::Outbound];

    /// The name of the role, which is that of the service.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisioner => "provisioner",
            Self::Gateway => "gateway",
            Self::Outbound => "outbound",
        }
    }
}

/// Sets the password with which the role connects.
pub(crate) async fn set_password(
    connection: &impl ConnectionTrait,
    role: Role,
    password: &SecretString,
) -> Result<(), DbErr> {
    // The statement takes no parameters, so the server quotes the password first.
    let quote = statement(
        "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text) AS alter_role",
        [role.name().into(), password.expose_secret().into()],
    );
    let quoted = connection.query_one_raw(quote).await?;
    let quoted = quoted.ok_or_else(|| DbErr::RecordNotFound("a quoted password".to_owned()))?;
    let alter_role: String = quoted.try_get("", "alter_role")?;
    connection.execute_unprepared(&alter_role).await.map(drop)
}
