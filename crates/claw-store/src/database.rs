use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, FromQueryResult, IdenStatic, Iterable, QueryResult, Statement, TransactionTrait,
    UpdateMany, Value,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::StoreError;

/// Server-side time limit for one statement, including its waits for locks.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// Client-side time limit for one call. It exceeds [`STATEMENT_LIMIT`] plus [`ACQUIRE_LIMIT`], so it only
/// ends calls to a server that has stopped answering.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for a connection, whether all are in use or the server is unreachable.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(3);
/// A connection that has been idle for longer is pinged before use. Pinging always would double the round
/// trips; a connection that breaks within this time costs one transient error.
const TRUSTED_WHILE_IDLE: Duration = Duration::from_secs(1);

/// Key of the advisory lock held while places and ports are counted and assigned. Any number, the same in
/// every process.
const CAPACITY_LOCK: i64 = 0x6b61_6b61_0001;

/// The pool and the operations that all repositories share.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) pool: DatabaseConnection,
}

impl Database {
    pub(crate) async fn connect(
        url: &SecretString,
        max_connections: u32,
    ) -> Result<Self, StoreError> {
        let mut options = ConnectOptions::new(url.expose_secret());
        options
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_LIMIT)
            .statement_timeout(STATEMENT_LIMIT)
            .test_before_acquire_if_idle_for(TRUSTED_WHILE_IDLE);
        Ok(Self {
            pool: open(options).await?,
        })
    }

    /// Runs an update; returns whether it changed any row.
    pub(crate) async fn execute<E: EntityTrait>(
        &self,
        operation: &'static str,
        update: UpdateMany<E>,
    ) -> Result<bool, StoreError> {
        let result = self.run(operation, update.exec(&self.pool)).await?;
        Ok(result.rows_affected > 0)
    }

    /// Updates the row of one `what`; fails with [`StoreError::Missing`] if there is no such row.
    pub(crate) async fn update<E: EntityTrait>(
        &self,
        what: &'static str,
        operation: &'static str,
        update: UpdateMany<E>,
    ) -> Result<(), StoreError> {
        if self.execute(operation, update).await? {
            Ok(())
        } else {
            Err(StoreError::Missing { what })
        }
    }

    /// Runs `work` with a time limit; an error names `operation`.
    pub(crate) async fn run<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, StoreError> {
        timeout(CALL_LIMIT, work)
            .await
            .map_err(|_| StoreError::TimedOut { operation })?
            .map_err(|source| StoreError::Database { operation, source })
    }

    /// The rows that one statement returns.
    pub(crate) async fn rows<const N: usize>(
        &self,
        operation: &'static str,
        sql: &str,
        values: [Value; N],
    ) -> Result<Vec<QueryResult>, StoreError> {
        self.run(operation, self.pool.query_all_raw(statement(sql, values)))
            .await
    }

    /// The row of a statement that always returns one.
    pub(crate) async fn row<const N: usize>(
        &self,
        operation: &'static str,
        sql: &str,
        values: [Value; N],
    ) -> Result<QueryResult, StoreError> {
        let rows = self.rows(operation, sql, values).await?;
        let none = || DbErr::RecordNotFound("a statement that always returns a row".to_owned());
        rows.into_iter()
            .next()
            .ok_or_else(none)
            .map_err(|source| StoreError::Database { operation, source })
    }

    /// A transaction that holds the capacity lock until it ends. Taking the lock is a statement of its own:
    /// the snapshot of a statement that waits for a lock is older than the lock.
    pub(crate) async fn begin_with_capacity_lock(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.pool.begin().await?;
        let lock = statement("SELECT pg_advisory_xact_lock($1)", [CAPACITY_LOCK.into()]);
        transaction.execute_raw(lock).await?;
        Ok(transaction)
    }
}

/// Opens a pool that does not log statements: their values include message texts.
pub(crate) async fn open(mut options: ConnectOptions) -> Result<DatabaseConnection, StoreError> {
    options.sqlx_logging(false).record_stmt_in_spans(false);
    sea_orm::Database::connect(options)
        .await
        .map_err(|source| StoreError::Database {
            operation: "connecting to the database",
            source,
        })
}

pub(crate) fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// `s.id AS s_id, …`: every column that an entity reads, for hand-written SQL, with the prefix that
/// [`joined`] expects.
pub(crate) fn columns<E: EntityTrait>(alias: &str) -> String {
    let columns: Vec<String> = E::Column::iter()
        .map(|column| format!("{alias}.{name} AS {alias}_{name}", name = column.as_str()))
        .collect();
    columns.join(", ")
}

/// An entity's row from a result whose columns were named by [`columns`]; `None` if the join found no row.
pub(crate) fn joined<M: FromQueryResult>(
    operation: &'static str,
    row: &QueryResult,
    alias: &str,
) -> Result<Option<M>, StoreError> {
    Option::<M>::from_query_result(row, &format!("{alias}_"))
        .map_err(|source| StoreError::Database { operation, source })
}

/// The value of one column of a result.
pub(crate) fn read<T: sea_orm::TryGetable>(
    operation: &'static str,
    row: &QueryResult,
    column: &str,
) -> Result<T, StoreError> {
    row.try_get("", column)
        .map_err(|source| StoreError::Database { operation, source })
}
