use std::time::Duration;

use secrecy::SecretString;
use tokio::time::timeout;

use crate::{
    AccessLists, Calls, Deliveries, Invites, Messages, Newcomers, Sandboxes, StoreError,
    Suspensions, Users, database::Database,
};

/// Time limit for the ping of a readiness check.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// A connection pool. Cloning the store or a repository it returns is cheap: they share the pool.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens a pool of at most `max_connections` and checks that the database answers. Does not migrate:
    /// see [`crate::migrate`]. Connections are not encrypted: keep the database in a private network.
    pub async fn connect(url: &SecretString, max_connections: u32) -> Result<Self, StoreError> {
        let database = Database::connect(url, max_connections).await?;
        Ok(Self { database })
    }

    /// Whether the database answers within 2 s.
    pub async fn is_reachable(&self) -> bool {
        matches!(
            timeout(PING_LIMIT, self.database.pool.ping()).await,
            Ok(Ok(()))
        )
    }

    /// The repository of users.
    pub fn users(&self) -> Users {
        Users {
            database: self.database.clone(),
        }
    }

    /// The repository of those who may come in.
    pub fn newcomers(&self) -> Newcomers {
        Newcomers {
            database: self.database.clone(),
        }
    }

    /// The operator's allow and block lists.
    pub fn access_lists(&self) -> AccessLists {
        AccessLists {
            database: self.database.clone(),
        }
    }

    /// The repository of invites.
    pub fn invites(&self) -> Invites {
        Invites {
            database: self.database.clone(),
        }
    }

    /// The repository of sandboxes.
    pub fn sandboxes(&self) -> Sandboxes {
        Sandboxes {
            database: self.database.clone(),
        }
    }

    /// The repository of messages and replies.
    pub fn messages(&self) -> Messages {
        Messages {
            database: self.database.clone(),
        }
    }

    /// The repository of phone calls.
    pub fn calls(&self) -> Calls {
        Calls {
            database: self.database.clone(),
        }
    }

    /// The repository of suspensions.
    pub fn suspensions(&self) -> Suspensions {
        Suspensions {
            database: self.database.clone(),
        }
    }

    /// The repository of deliveries.
    pub fn deliveries(&self) -> Deliveries {
        Deliveries {
            database: self.database.clone(),
        }
    }
}
