use std::time::Duration;

use sea_orm_migration::{
    MigratorTrait,
    prelude::{ConnectionTrait, DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait},
    sea_orm::{ConnectOptions, DatabaseConnection, TransactionTrait},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use crate::{
    StoreError,
    database::{open, statement},
    error::sqlstate,
    role::{ROLES, Role, set_password},
};

/// Key of the advisory lock held while a process migrates. Any number, the same in every process, other than
/// the capacity lock's.
const MIGRATION_LOCK: i64 = 0x6b61_6b61_0002;
/// Pause between two attempts to connect to a database that is not up yet.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Time limit for one attempt to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// SQLSTATEs that waiting does not cure: unknown role, wrong password, unknown database.
const REFUSALS: [&str; 3] = ["28000", "28P01", "3D000"];

/// Brings the schema and the rights of the roles up to date, and sets these passwords, in one transaction. `url` names
/// the owner of the database, who must be allowed to create roles. Waits up to `wait_limit` for a database that is not up
/// yet. May be repeated, also by several processes at once: they run one after the other.
pub async fn migrate(
    url: &SecretString,
    passwords: &[(Role, SecretString)],
    wait_limit: Duration,
) -> Result<(), StoreError> {
    let pool = wait_for_database(url, Instant::now() + wait_limit).await?;
    let result = migrate_locked(&pool, passwords)
        .await
        .map_err(|source| StoreError::Database {
            operation: "migrating the schema",
            source,
        });
    // The migration is committed or has failed: an error while closing the connection does not matter.
    pool.close().await.ok();
    result
}

/// Records by which key the ids of users are derived, once for a database, and fails from then on if `check`, which is
/// [`claw_domain::UserIdKey::check_value`], is that of another key. Run it after [`migrate`], as the same user.
pub async fn record_user_id_key(url: &SecretString, check: &str) -> Result<(), StoreError> {
    let pool = open(ConnectOptions::new(url.expose_secret())).await?;
    let work = async {
        let record = "INSERT INTO installation (user_id_check) VALUES ($1) ON CONFLICT DO NOTHING";
        pool.execute_raw(statement(record, [check.into()])).await?;
        let read = statement("SELECT user_id_check FROM installation", []);
        let row = pool.query_one_raw(read).await?;
        row.map(|row| row.try_get("", "user_id_check")).transpose()
    };
    let recorded: Result<Option<String>, DbErr> = work.await;
    pool.close().await.ok();
    let recorded = recorded.map_err(|source| StoreError::Database {
        operation: "recording the USER_ID_KEY",
        source,
    })?;
    if recorded.as_deref() == Some(check) {
        Ok(())
    } else {
        Err(StoreError::OtherUserIdKey)
    }
}

async fn wait_for_database(
    url: &SecretString,
    deadline: Instant,
) -> Result<DatabaseConnection, StoreError> {
    loop {
        let mut options = ConnectOptions::new(url.expose_secret());
        options.max_connections(1).acquire_timeout(CONNECT_LIMIT);
        match open(options).await {
            Err(error) if is_worth_retrying(&error) && Instant::now() < deadline => {
                sleep(RETRY_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn is_worth_retrying(error: &StoreError) -> bool {
    let refused = if let StoreError::Database { source, .. } = error {
        sqlstate(source).is_some_and(|code| REFUSALS.contains(&code.as_str()))
    } else {
        false
    };
    error.is_transient() && !refused
}

async fn migrate_locked(
    pool: &DatabaseConnection,
    passwords: &[(Role, SecretString)],
) -> Result<(), DbErr> {
    let transaction = pool.begin().await?;
    let lock = statement("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK.into()]);
    transaction.execute_raw(lock).await?;
    Migrator::up(&transaction, None).await?;
    transaction.execute_unprepared(ROLES).await?;
    for (role, password) in passwords {
        set_password(&transaction, *role, password).await?;
    }
    transaction.commit().await
}

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(MigrationStep {
                name: "m000001_the_first_schema",
                sql: include_str!("sql/schema_1.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000002_the_inbox",
                sql: include_str!("sql/schema_2.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000003_the_voice",
                sql: include_str!("sql/schema_3.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000004_turns_of_a_call",
                sql: include_str!("sql/schema_4.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000006_the_installation",
                sql: include_str!("sql/schema_6.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000007_callers",
                sql: include_str!("sql/schema_7.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000008_who_may_come_in",
                sql: include_str!("sql/schema_8.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000009_suspensions",
                sql: include_str!("sql/schema_9.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000010_refusals_outlast_events",
                sql: include_str!("sql/schema_10.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000011_sleep",
                sql: include_str!("sql/schema_11.sql"),
            }),
            Box::new(MigrationStep {
                name: "m000012_spare_sandboxes",
                sql: include_str!("sql/schema_12.sql"),
            }),
        ]
    }
}

/// One migration, in SQL; never changed once it has run in a deployment. There is no down migration: a later
/// step repairs a mistake.
struct MigrationStep {
    name: &'static str,
    sql: &'static str,
}

impl MigrationName for MigrationStep {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for MigrationStep {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .get_connection()
            .execute_unprepared(self.sql)
            .await
            .map(drop)
    }
}
