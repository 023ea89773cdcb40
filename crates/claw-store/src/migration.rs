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
};

/// Held while a process migrates. Any number, the same in every process, other than the lock of places.
const LOCK_OF_MIGRATIONS: i64 = 0x6b61_6b61_0002;
/// Between two looks for a database that is not up yet.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest one look takes.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// SQLSTATEs that waiting does not change: no such role or password, no such database.
const REFUSALS: [&str; 3] = ["28000", "28P01", "3D000"];

/// Brings the schema up to date, all of it or nothing. Waits up to `patience` for a database that is not
/// up yet. May be run again, and by several processes at once: they take turns.
pub async fn migrate(url: &SecretString, patience: Duration) -> Result<(), StoreError> {
    let pool = wait_for_database(url, Instant::now() + patience).await?;
    let result = migrate_locked(&pool)
        .await
        .map_err(|source| StoreError::Database {
            operation: "migrating the schema",
            source,
        });
    // What it did is committed; whether the goodbye arrives does not matter.
    pool.close().await.ok();
    result
}

async fn wait_for_database(
    url: &SecretString,
    deadline: Instant,
) -> Result<DatabaseConnection, StoreError> {
    loop {
        let mut options = ConnectOptions::new(url.expose_secret());
        options.max_connections(1).acquire_timeout(LOOK_LIMIT);
        match open(options).await {
            Err(error) if worth_waiting(&error) && Instant::now() < deadline => sleep(PAUSE).await,
            result => return result,
        }
    }
}

fn worth_waiting(error: &StoreError) -> bool {
    let refused = if let StoreError::Database { source, .. } = error {
        sqlstate(source).is_some_and(|code| REFUSALS.contains(&code.as_str()))
    } else {
        false
    };
    error.is_transient() && !refused
}

async fn migrate_locked(pool: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = pool.begin().await?;
    let lock = statement(
        "SELECT pg_advisory_xact_lock($1)",
        [LOCK_OF_MIGRATIONS.into()],
    );
    transaction.execute_raw(lock).await?;
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(Step {
                name: "m000001_the_first_schema",
                sql: include_str!("sql/schema_1.sql"),
            }),
            Box::new(Step {
                name: "m000002_the_inbox",
                sql: include_str!("sql/schema_2.sql"),
            }),
            Box::new(Step {
                name: "m000003_the_voice",
                sql: include_str!("sql/schema_3.sql"),
            }),
            Box::new(Step {
                name: "m000004_turns_of_a_call",
                sql: include_str!("sql/schema_4.sql"),
            }),
        ]
    }
}

/// One step, in SQL; never changed once it has run anywhere. There is no way down: a mistake is repaired
/// by the next step.
struct Step {
    name: &'static str,
    sql: &'static str,
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .get_connection()
            .execute_unprepared(self.sql)
            .await
            .map(drop)
    }
}
